/* A disk that is full or does not sync, and a clock that somebody sets, for one program that knows nothing of it.
 *
 * Preloaded (LD_PRELOAD), it stands between the program and the C library. HUB_SHIM names a file with the three numbers
 * of `struct control`; it is mapped, so that a story writes a number and the program lives by it at once. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t clock_s;       /* added to the time of day */
    int64_t syncs_fail;    /* not 0: nothing can be forced to the disk */
    int64_t file_limit;    /* not 0: no file of the disk can grow past so many bytes */
};

static const struct control none;
static const volatile struct control *control = &none;
static dev_t disk;         /* the one that the control lies on; what lies in memory is as it always was */

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("HUB_SHIM");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    struct stat status;
    if (file < 0)
        return;
    if (fstat(file, &status) == 0)
        disk = status.st_dev;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        control = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = syscall(SYS_clock_gettime, clock, now);
    if (done == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += control->clock_s;
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int done = syscall(SYS_gettimeofday, now, zone);
    if (done == 0)
        now->tv_sec += control->clock_s;
    return done;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}

static int sync_by(long call, int file) {
    if (control->syncs_fail) {
        errno = EIO;
        return -1;
    }
    return syscall(call, file);
}

int fsync(int file) {
    return sync_by(SYS_fsync, file);
}

int fdatasync(int file) {
    return sync_by(SYS_fdatasync, file);
}

static int is_on_the_disk(int file, struct stat *status) {
    return fstat(file, status) == 0 && S_ISREG(status->st_mode) && status->st_dev == disk;
}

/* How many of these bytes have room behind `offset`: a full disk takes what it still can, and then nothing. What is
 * written over has its room already. */
static ssize_t room_for(int file, off_t offset, size_t bytes) {
    struct stat status;
    off_t end = control->file_limit;
    if (end == 0 || !is_on_the_disk(file, &status))
        return bytes;
    if (end < status.st_size)
        end = status.st_size;
    if (offset + (off_t)bytes <= end)
        return bytes;
    if (offset < end)
        return end - offset;
    errno = ENOSPC;
    return -1;
}

ssize_t write(int file, const void *from, size_t bytes) {
    off_t offset = control->file_limit ? lseek(file, 0, SEEK_CUR) : 0;
    ssize_t room = room_for(file, offset, bytes);
    return room < 0 ? room : syscall(SYS_write, file, from, room);
}

ssize_t pwrite(int file, const void *from, size_t bytes, off_t offset) {
    ssize_t room = room_for(file, offset, bytes);
    return room < 0 ? room : syscall(SYS_pwrite64, file, from, room, offset);
}

ssize_t pwrite64(int file, const void *from, size_t bytes, off64_t offset) {
    return pwrite(file, from, bytes, offset);
}

ssize_t pwritev(int file, const struct iovec *from, int count, off_t offset) {
    /* To write less than all is a legal answer: the rest is asked for again. */
    if (control->file_limit && count > 0)
        return pwrite(file, from->iov_base, from->iov_len, offset);
    return syscall(SYS_pwritev, file, from, count, offset, 0);
}

ssize_t pwritev64(int file, const struct iovec *from, int count, off64_t offset) {
    return pwritev(file, from, count, offset);
}

/* Tells its error, and leaves errno alone. */
int posix_fallocate(int file, off_t offset, off_t bytes) {
    int before = errno;
    int failed = room_for(file, offset, bytes) < bytes ? ENOSPC : 0;
    if (!failed && syscall(SYS_fallocate, file, 0, offset, bytes) != 0)
        failed = errno;
    errno = before;
    return failed;
}

int posix_fallocate64(int file, off64_t offset, off64_t bytes) {
    return posix_fallocate(file, offset, bytes);
}
