// SPDX-License-Identifier: Apache-2.0
//
// What no relay can go below on this machine: for each connection one to the app, and bytes passed between the two with
// epoll, recv and send. It knows neither TLS nor frames. `floor LISTEN-PORT APP-PORT`, on 127.0.0.1, one thread.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    int socket;
    struct side *other;
    // What the other side has not taken yet; nothing is read from here until it has.
    char *held;
    size_t start, count;
    int has_ended, is_over;
};

static char buffer[256 * 1024];
static int poller;

static void end(struct side *side) {
    for (int turn = 0; turn < 2; turn++, side = side->other) {
        if (side->socket >= 0) close(side->socket);
        side->socket = -1;
        side->is_over = 1;
    }
}

// Passes on what there is, until there is no more or the other side takes no more.
static void pass(struct side *from) {
    struct side *to = from->other;
    while (from->socket >= 0 && to->socket >= 0) {
        if (from->count == 0) {
            ssize_t got = recv(from->socket, buffer, sizeof buffer, 0);
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
            if (got < 0) return end(from);
            if (got == 0) {
                from->has_ended = 1;
                if (to->has_ended) return end(from);
                shutdown(to->socket, SHUT_WR);
                return;
            }
            ssize_t sent = send(to->socket, buffer, (size_t)got, MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) return end(from);
            if (sent < 0) sent = 0;
            if (sent < got) {
                if (from->held == NULL && (from->held = malloc(sizeof buffer)) == NULL) return end(from);
                from->start = 0;
                from->count = (size_t)(got - sent);
                memcpy(from->held, buffer + sent, from->count);
                return;
            }
            // A short read has emptied the socket; the next bytes come with an edge of their own.
            if ((size_t)got < sizeof buffer) return;
        } else {
            ssize_t sent = send(to->socket, from->held + from->start, from->count, MSG_NOSIGNAL);
            if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
            if (sent < 0) return end(from);
            from->start += (size_t)sent;
            from->count -= (size_t)sent;
        }
    }
}

static struct side *side_of(int socket) {
    struct side *side = calloc(1, sizeof *side);
    if (side == NULL) exit(1);
    int one = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    side->socket = socket;
    return side;
}

static void watch(struct side *side) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = side};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, side->socket, &event) != 0) exit(1);
}

static void accept_all(int listener, const struct sockaddr_in *app) {
    int socket_in;
    while ((socket_in = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int out = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (out < 0 || (connect(out, (const struct sockaddr *)app, sizeof *app) != 0 && errno != EINPROGRESS)) {
            perror("floor: connect");
            exit(1);
        }
        struct side *client = side_of(socket_in), *backend = side_of(out);
        client->other = backend;
        backend->other = client;
        watch(client);
        watch(backend);
    }
}

int main(int count, char **words) {
    if (count != 3) return fprintf(stderr, "floor LISTEN-PORT APP-PORT\n"), 2;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in app = here;
    here.sin_port = htons((uint16_t)atoi(words[1]));
    app.sin_port = htons((uint16_t)atoi(words[2]));
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 4096) != 0) {
        perror("floor");
        return 1;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    struct epoll_event events[256];
    // Sides that are over stay until the turn's end: events of the turn may still name them.
    struct side *over[512];
    while (1) {
        int ready = epoll_wait(poller, events, 256, -1), overs = 0;
        for (int index = 0; index < ready; index++) {
            struct side *side = events[index].data.ptr;
            if (side == NULL) {
                accept_all(listener, &app);
                continue;
            }
            if (side->is_over) continue;
            if (events[index].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) pass(side);
            if (!side->is_over && events[index].events & EPOLLOUT && side->other->count > 0) pass(side->other);
            if (side->is_over && overs < 512) {
                over[overs++] = side;
                over[overs++] = side->other;
            }
        }
        while (overs > 0) {
            struct side *side = over[--overs];
            free(side->held);
            free(side);
        }
    }
}
