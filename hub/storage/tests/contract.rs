//! What every back end of the registry must do. One suite; SQLite always, PostgreSQL when HUB_TEST_POSTGRES names a
//! server (its database `postgres`, from a user who may create databases).
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says what it left out")]

#[path = "contract/bound.rs"]
mod bound;
#[path = "contract/build.rs"]
mod build;
#[path = "contract/commits.rs"]
mod commits;
#[path = "contract/indexing.rs"]
mod indexing;
#[path = "contract/links.rs"]
mod links;
#[path = "contract/pages.rs"]
mod pages;
#[path = "contract/parameters.rs"]
mod parameters;
#[path = "contract/place.rs"]
mod place;
#[path = "contract/queues.rs"]
mod queues;
#[path = "contract/reads.rs"]
mod reads;
#[path = "contract/refused.rs"]
mod refused;
#[path = "contract/retention.rs"]
mod retention;
#[path = "contract/schema.rs"]
mod schema;
#[path = "contract/searches.rs"]
mod searches;
#[path = "contract/wal.rs"]
mod wal;

/// Each sentence once for each back end.
macro_rules! contract {
    ($($room:ident { $($sentence:ident,)* })*) => {
        mod sqlite {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                crate::$room::$sentence(crate::place::Place::sqlite().await).await;
            })*)*
        }
        mod postgres {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                if let Some(place) = crate::place::Place::postgres().await {
                    let database = place.clone();
                    crate::$room::$sentence(place).await;
                    database.drop_database().await;
                }
            })*)*
        }
    };
}

contract! {
    commits {
        what_was_created_is_read_back_byte_for_byte,
        a_stale_decision_changes_nothing_and_leaves_its_neighbours_alone,
        two_decisions_on_one_root_in_one_batch_are_done_in_sequence,
        of_thirty_two_equal_receipts_one_is_taken,
        of_thirty_two_equal_claims_one_is_taken,
        a_claim_is_taken_once_more_by_its_holder,
        a_claim_that_falls_takes_its_receipt_and_its_followers_with_it,
        a_decision_over_several_roots_is_all_or_nothing,
        no_update_is_lost_among_four_writers,
        a_poisoned_decision_fails_alone,
        a_deleted_resource_is_gone_but_not_forgotten,
    }
    reads {
        a_load_finds_heads_plans_existence_and_identifiers,
        time_never_goes_back,
        the_history_is_newest_first_and_pages_join_up,
        the_history_of_all_types_pages_and_knows_what_was_current,
        a_type_history_never_shows_what_a_late_commit_precedes,
        the_parts_of_an_order_are_its_requests_and_its_tasks_by_their_steps,
        what_was_written_survives_a_restart,
        a_damaged_page_token_is_refused,
        a_poller_misses_nothing,
        a_database_in_memory_is_one_too,
        a_lost_connection_is_replaced,
    }
    queues {
        a_fresh_message_is_left_to_its_hub_and_then_to_anybody,
        urgent_messages_go_first,
        what_is_leased_is_found_by_its_keys,
        a_timer_that_is_over_is_found_by_its_key,
        what_is_on_offer_is_held_against_the_outbox_once,
        every_task_on_offer_is_published_again,
        timers_are_replaced_fire_and_are_leased,
        figures_count_what_is_there,
        parked_messages_wait_for_a_person,
    }
    retention {
        a_receipt_is_kept_for_its_time_and_then_its_key_is_new,
        receipts_of_an_older_hub_have_an_age_too,
        hubs_that_prune_at_once_forget_each_receipt_once,
        a_file_stays_as_large_as_what_is_kept,
    }
    indexing {
        what_was_stored_before_a_parameter_is_found_by_it,
        hubs_index_anew_beside_writers,
        a_hub_of_another_release_is_waited_for,
    }
    schema {
        hubs_that_start_at_once_make_one_schema,
        a_schema_one_step_ahead_is_used,
        a_schema_that_gave_up_what_this_hub_needs_is_refused,
    }
    pages {
        a_worklist_is_sorted_by_urgency_and_age,
        other_sorts_are_right_too,
        what_no_index_orders_is_sorted_by_its_values,
        texts_and_amounts_are_orders_too,
        all_pages_are_counted,
        paging_while_others_insert_skips_nothing,
        paging_by_last_updated_skips_nothing_that_moves,
    }
    parameters {
        every_parameter_of_a_task_finds_it,
        a_task_is_found_by_what_its_id_tells,
        a_task_is_found_by_when_it_was_modified,
        every_parameter_of_a_request_finds_it,
        every_parameter_of_a_patient_finds_it,
        every_parameter_of_an_observation_finds_it,
    }
    searches {
        texts_are_found_by_how_they_begin,
        amounts_are_found_by_what_they_come_to,
        parts_of_a_composite_belong_together,
        what_no_index_has_is_asked_of_the_resources,
        a_search_that_would_read_everything_is_too_costly,
        any_of_several_dates_is_found,
        a_period_is_found_by_any_moment_of_it,
        values_systems_and_modifiers_mean_what_fhir_says,
        dates_compare_as_ranges,
        an_update_moves_a_task_between_searches,
        long_values_are_found,
        what_a_batch_changes_twice_is_found_as_it_is_in_the_end,
    }
    links {
        what_does_not_have_a_value_is_found_too,
        a_resource_is_found_by_what_it_points_to,
        a_resource_is_found_by_what_points_to_it,
        links_may_follow_one_another,
        more_behind_a_link_than_are_carried_is_refused,
        a_wide_link_is_followed_from_what_is_narrow,
        paging_over_a_link_joins_up,
        what_points_to_a_resource_is_told_for_all_types_at_once,
    }
    refused {
        what_is_refused_has_not_read_much_more,
    }
    bound {
        no_task_search_reads_more_than_five_times_its_page,
    }
}
