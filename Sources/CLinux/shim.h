/* SPDX-License-Identifier: Apache-2.0 */
/* What Swift's Glibc overlay does not show of Linux: declared or wrapped here, nothing more.
   No _GNU_SOURCE: it would change declarations that this module shares with Glibc. What it would
   declare is declared here. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

/* The text of an error code; unlike strerror(3) safe from any thread. */
extern const char *strerrordesc_np(int);

static inline int sluice_accept(int listener, struct sockaddr_storage *address, socklen_t *length) {
    extern int accept4(int, struct sockaddr *, socklen_t *, int);
    return accept4(listener, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* recv(2) and send(2) without glibc's cancellation point, which costs each call two atomic
   operations in a program of several threads. Nobody cancels a thread here. */
static inline ssize_t sluice_receive(int socket, void *bytes, size_t count) {
    extern long syscall(long, ...);
    return syscall(SYS_recvfrom, socket, bytes, count, 0, NULL, NULL);
}
static inline ssize_t sluice_send(int socket, const void *bytes, size_t count, int flags) {
    extern long syscall(long, ...);
    return syscall(SYS_sendto, socket, bytes, count, flags, NULL, 0);
}

/* Bytes that were sent on a socket and that the peer's kernel has not acknowledged; -1 where that is not
   known. */
static inline int sluice_unacknowledged(int socket) {
    extern int ioctl(int, unsigned long, ...);
    int count = 0;
    return ioctl(socket, 0x5411 /* SIOCOUTQ */, &count) == 0 ? count : -1;
}

/* Bytes of a TCP connection that the peer's kernel has acknowledged since it began (tcpi_bytes_acked of
   TCP_INFO, Linux 4.1); -1 where that is not known. linux/tcp.h, which has the field, can't be included
   beside netinet/tcp.h; its place is part of the kernel's interface. */
static inline long long sluice_acknowledged(int socket) {
    unsigned char facts[128];
    socklen_t length = sizeof(facts);
    long long count = 0;
    if (getsockopt(socket, 6 /* IPPROTO_TCP */, 11 /* TCP_INFO */, facts, &length) != 0 || length < sizeof(facts))
        return -1;
    __builtin_memcpy(&count, facts + 120, sizeof(count));
    return count;
}

static inline int sluice_pin_to_cpu(int cpu) {
    extern int sched_setaffinity(pid_t, size_t, const void *);
    unsigned long mask[128] = {0};
    if (cpu < 0 || cpu >= (int)(8 * sizeof(mask))) return EINVAL;
    mask[cpu / (8 * sizeof(unsigned long))] |= 1ul << (cpu % (8 * sizeof(unsigned long)));
    return sched_setaffinity(0, sizeof(mask), mask) == 0 ? 0 : errno;
}

/* How many cores the scheduler lets this process use; 0 when it does not say. */
static inline int sluice_available_cpus(void) {
    extern int sched_getaffinity(pid_t, size_t, void *);
    unsigned long mask[128] = {0};
    if (sched_getaffinity(0, sizeof(mask), mask) != 0) return 0;
    int count = 0;
    for (size_t i = 0; i < sizeof(mask) / sizeof(mask[0]); i++)
        count += __builtin_popcountl(mask[i]);
    return count;
}

/* Has the calling thread woken by the nanosecond, and not 50 µs later (PR_SET_TIMERSLACK, prctl(2)). */
static inline void sluice_sharpen_timers(void) {
    extern int prctl(int, ...);
    prctl(29, 1UL, 0UL, 0UL, 0UL);
}

static inline void sluice_name_thread(const char *name) {
    extern int pthread_setname_np(unsigned long, const char *);
    extern unsigned long pthread_self(void);
    pthread_setname_np(pthread_self(), name);
}

/* Waits with the precision of nanoseconds where the system can (Linux 5.11), else of
   milliseconds. */
static inline int sluice_wait_nanoseconds(
    int set, struct epoll_event *events, int count, long long nanoseconds) {
    struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    int ready = epoll_pwait2(set, events, count, &time, NULL);
    if (ready < 0 && (errno == ENOSYS || errno == EPERM))
        ready = epoll_wait(set, events, count, (int)((nanoseconds + 999999) / 1000000));
    return ready;
}

/* A descriptor of memory with these bytes, which nobody can change any more; below 0 with errno. */
static inline int sluice_sealed_memory(const char *name, const void *bytes, size_t count) {
    extern int memfd_create(const char *, unsigned int);
    extern int close(int);
    extern ssize_t write(int, const void *, size_t);
    const unsigned int close_on_exec = 1, allow_sealing = 2;
    const int add_seals = 1033, seal_shrink_grow_write = 2 | 4 | 8;
    int memory = memfd_create(name, close_on_exec | allow_sealing);
    if (memory < 0) return -1;
    const char *rest = bytes;
    while (count > 0) {
        ssize_t written = write(memory, rest, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        rest += written;
        count -= (size_t)written;
    }
    if (count == 0 && fcntl(memory, add_seals, seal_shrink_grow_write | 1) == 0) return memory;
    int code = errno;
    close(memory);
    errno = code;
    return -1;
}

/* Sends an empty datagram that passes a descriptor on (SCM_RIGHTS in unix(7)). */
static inline ssize_t sluice_send_descriptor(int socket, const struct sockaddr *address, socklen_t length, int descriptor) {
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    __builtin_memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_name = (void *)address, .msg_namelen = length, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    __builtin_memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

/* mallopt(3): from how many bytes on an object is mapped by itself, and how many bytes at the end of a
   pool are kept when they are free. */
static inline int sluice_set_malloc(int mapped_from, int kept) {
    return mallopt(M_MMAP_THRESHOLD, mapped_from) && mallopt(M_TRIM_THRESHOLD, kept);
}

/* malloc_trim(3): gives whole free pages of all pools back to the system, but for so many bytes at the end of each. */
static inline int sluice_trim_malloc(size_t kept) { return malloc_trim(kept); }

/* Who was at the other end of a Unix socket when it was connected or made (SO_PEERCRED in unix(7)): the user's number,
   -1 where that is not known. struct ucred is declared with _GNU_SOURCE alone. */
static inline long long sluice_peer_user(int socket) {
    struct { int process; unsigned user, group; } peer;
    socklen_t length = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, 17 /* SO_PEERCRED */, &peer, &length) != 0 || length != sizeof peer) return -1;
    return peer.user;
}

/* The process that has made a pair of connected sockets, as both ends tell (SO_PEERCRED); -1 where that is not known. */
static inline int sluice_peer_process(int socket) {
    struct { int process; unsigned user, group; } peer;
    socklen_t length = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, 17 /* SO_PEERCRED */, &peer, &length) != 0 || length != sizeof peer) return -1;
    return peer.process;
}

/* Has no program that is started from here on inherit a descriptor from `first` on (close_range(2), Linux 5.11); -1
   where the system can't. */
static inline int sluice_keep_from_programs(unsigned first) {
    extern long syscall(long, ...);
    return (int)syscall(SYS_close_range, first, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
}

/* Memory behind a descriptor that can be written and read (memfd_create(2)); -1 where there is none. */
static inline int sluice_memory_file(const char *name) {
    extern long syscall(long, ...);
    return (int)syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */);
}

enum { sluice_message_descriptors_max = 254 };

/* Sends one message with descriptors (SCM_RIGHTS in unix(7)), without waiting; bytes sent, or -1. */
static inline ssize_t sluice_send_message(
    int socket, const void *bytes, size_t count, const int *descriptors, int descriptor_count) {
    union { char bytes[CMSG_SPACE(sizeof(int) * sluice_message_descriptors_max)]; struct cmsghdr align; } control;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor_count > sluice_message_descriptors_max) {
        errno = EINVAL;
        return -1;
    }
    if (descriptor_count > 0) {
        size_t size = sizeof(int) * (size_t)descriptor_count;
        __builtin_memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(size);
        __builtin_memcpy(CMSG_DATA(header), descriptors, size);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_EOR);
}

/* Receives one message, without waiting; bytes of it, 0 at the end, or -1. *descriptor_count has room for so many and
   says how many have come. A message that had no room is taken for the end. */
static inline ssize_t sluice_receive_message(
    int socket, void *bytes, size_t capacity, int *descriptors, int *descriptor_count, int *are_all_there) {
    union { char bytes[CMSG_SPACE(sizeof(int) * sluice_message_descriptors_max)]; struct cmsghdr align; } control;
    struct iovec part = {.iov_base = bytes, .iov_len = capacity};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *are_all_there = 0;
    int room = *descriptor_count;
    *descriptor_count = 0;
    ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) return got;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < count; index++) {
            int descriptor;
            __builtin_memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof(int));
            if (*descriptor_count < room) {
                descriptors[(*descriptor_count)++] = descriptor;
            } else {
                extern int close(int);
                close(descriptor);
            }
        }
    }
    *are_all_there = !(message.msg_flags & MSG_CTRUNC);
    return message.msg_flags & MSG_TRUNC ? 0 : got;
}
