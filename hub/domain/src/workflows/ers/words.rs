//! The words of the service, each called by its code.

use serde::{Deserialize, Serialize};

/// A word of the service, called by its code.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$note:meta])* $word:ident = $code:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$note])* #[serde(rename = $code)] $word,)+
        }

        impl $name {
            pub const CODES: &'static [&'static str] = &[$($code),+];

            pub fn code(self) -> &'static str {
                match self { $(Self::$word => $code,)+ }
            }

            pub fn parse(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$word),)+ _ => None }
            }
        }
    };
}
words! {
    /// Where a referral stands, or a request for advice.
    State {
        NotBooked = "NOT_BOOKED",
        AwaitingTriage = "AWAITING_TRIAGE",
        DeferredToProvider = "DEFERRED_TO_PROVIDER",
        TriagedProviderToAction = "TRIAGED_PROVIDER_TO_ACTION",
        TriageResponse = "TRIAGE_RESPONSE",
        Booked = "BOOKED",
        Accepted = "ACCEPTED",
        Rejected = "REJECTED",
        CancelledByPatient = "APPT_CANCELLED_BY_PATIENT",
        CancelledByProvider = "APPT_CANCELLED_BY_PROVIDER",
        DidNotAttend = "DID_NOT_ATTEND",
        AssessmentResult = "ASSESSMENT_RESULT",
        Completed = "COMPLETED",
        Closed = "CLOSED",
        Cancelled = "CANCELLED_REFERRAL",
        ProviderResponseRequired = "PROVIDER_RESPONSE_REQUIRED",
        ReferrerToSubmitInformation = "REFERRER_TO_SUBMIT_FURTHER_INFORMATION",
        ReferrerToReviewResponse = "REFERRER_TO_REVIEW_RESPONSE",
        AdviceConverted = "ADVICE_CONVERTED",
        ConversationClosed = "CONVERSATION_ENDED_CLOSED",
        ConversationCancelled = "CONVERSATION_ENDED_CANCELLED",
    }
}

words! {
    /// The business function in which somebody calls.
    Role {
        ReferringClinician = "REFERRING_CLINICIAN",
        ReferringClinicianAdmin = "REFERRING_CLINICIAN_ADMIN",
        ReferringAdmin = "REFERRING_ADMIN",
        ProviderClinician = "SERVICE_PROVIDER_CLINICIAN",
        ProviderClinicianAdmin = "SERVICE_PROVIDER_CLINICIAN_ADMIN",
        ProviderAdmin = "SERVICE_PROVIDER_ADMIN",
    }
}

words! {
    /// What can be done to a referral.
    Action {
        ChangeShortlist = "change-shortlist",
        SendForTriage = "send-for-triage",
        MaintainLetter = "maintain-letter",
        Book = "book",
        Defer = "defer",
        Rebook = "rebook",
        CancelAppointment = "cancel-appointment",
        Accept = "accept",
        Reject = "reject",
        AcceptBookLater = "accept-book-later",
        ReturnWithAdvice = "return-with-advice",
        CancelActionLater = "cancel-appointment-action-later",
        DidNotAttend = "did-not-attend",
        Attended = "attended",
        Close = "close",
        Cancel = "cancel",
        Advise = "advise",
        AskForInformation = "ask-for-information",
        Reply = "reply",
        Convert = "convert",
    }
}

words! {
    /// A part of the work, with a Task of its own.
    Step {
        Triage = "triage",
        Book = "book",
        Attend = "attend",
        Report = "report",
        Letter = "letter",
        Advise = "advise",
    }
}

words! {
    /// How soon.
    Urgency {
        Routine = "ROUTINE",
        Urgent = "URGENT",
        TwoWeekWait = "TWO_WEEK_WAIT",
    }
}

words! {
    /// Whether the referrer means to add a letter.
    LetterIntention {
        NeedToAddLater = "NEED_TO_ADD_LATER",
        NotIntendingToAdd = "NOT_INTENDING_TO_ADD",
    }
}

words! {
    /// Whether the provider may make a referral of a request for advice.
    Conversion {
        Authorised = "AUTHORISED_TO_CONVERT",
        NotAuthorised = "NOT_AUTHORISED_TO_CONVERT",
    }
}

words! {
    /// How a review ends.
    ReviewOutcome {
        ReturnWithAdvice = "RETURN_TO_REFERRER_WITH_ADVICE",
        AcceptBookLater = "ACCEPT_REFER_BOOK_LATER",
        CancelActionLater = "CANCEL_APPOINTMENT_ACTION_LATER",
    }
}

words! {
    /// What a specialist does with a question.
    GuidanceOutcome {
        ReturnWithAdvice = "RETURN_TO_REFERRER_WITH_ADVICE",
        RequireInformation = "REQUIRE_FURTHER_INFORMATION",
    }
}
