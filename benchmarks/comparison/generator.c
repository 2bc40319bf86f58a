// SPDX-License-Identifier: Apache-2.0
//
// A load generator as one would write it in C on OpenSSL, to hold `sluice load` against: `generator HOST PORT CONNECTIONS
// BYTES SECONDS` opens WebSockets by TLS 1.3, sends a text message on each, the next when the last is back, and compares
// what came back. One thread, epoll, SSL_read and SSL_write. It prints how many messages came back.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define SPACE 65536

struct client {
    SSL *tls;
    int is_open;
    // What has come of the answer's head or of the frame in progress.
    size_t count;
    unsigned char came[4096 + 16];
};

static size_t size;
static unsigned char payload[4096], frame[4096 + 16], buffer[SPACE];
static uint64_t received, mask_state = 88172645463325252u;
static int is_over;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what) {
    fprintf(stderr, "generator: %s\n", what);
    exit(1);
}

static void write_all(struct client *client, const void *bytes, size_t count) {
    // Small messages in a closed loop: a socket that takes nothing would be a fault of the trial.
    if (SSL_write(client->tls, bytes, (int)count) != (int)count) fail("the socket does not take a message");
}

static void send_message(struct client *client) {
    mask_state ^= mask_state << 13, mask_state ^= mask_state >> 7, mask_state ^= mask_state << 17;
    unsigned char mask[4];
    memcpy(mask, &mask_state, sizeof mask);
    size_t head = 2;
    frame[0] = 0x81;
    if (size < 126) {
        frame[1] = (unsigned char)(0x80 | size);
    } else {
        frame[1] = 0x80 | 126, frame[2] = (unsigned char)(size >> 8), frame[3] = (unsigned char)size;
        head = 4;
    }
    memcpy(frame + head, mask, 4);
    head += 4;
    for (size_t at = 0; at < size; at++) frame[head + at] = payload[at] ^ mask[at & 3];
    write_all(client, frame, head + size);
}

static void take(struct client *client, const unsigned char *bytes, size_t count) {
    size_t head = size < 126 ? 2 : 4, whole = head + size;
    while (count > 0) {
        if (!client->is_open) {
            size_t part = count < sizeof client->came - 1 - client->count ? count : sizeof client->came - 1 - client->count;
            memcpy(client->came + client->count, bytes, part);
            client->count += part;
            client->came[client->count] = 0;
            char *end = strstr((char *)client->came, "\r\n\r\n");
            if (end == NULL) return;
            if (strncmp((char *)client->came, "HTTP/1.1 101", 12) != 0) fail("the answer is not 101");
            client->is_open = 1;
            client->count = 0;
            return send_message(client);
        }
        size_t part = count < whole - client->count ? count : whole - client->count;
        memcpy(client->came + client->count, bytes, part);
        client->count += part;
        bytes += part;
        count -= part;
        if (client->count < whole) return;
        if (client->came[0] != 0x81 || memcmp(client->came + head, payload, size) != 0) fail("another message came back");
        client->count = 0;
        received++;
        if (!is_over) send_message(client);
    }
}

int main(int count, char **words) {
    if (count != 6) return fprintf(stderr, "generator HOST PORT CONNECTIONS BYTES SECONDS\n"), 2;
    int clients = atoi(words[3]);
    size = (size_t)atoi(words[4]);
    if (clients < 1 || size < 1 || size > sizeof payload) fail("a number can't be used");
    memset(payload, 'x', size);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    // Otherwise each record takes two system calls, one for its header.
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)atoi(words[2]));
    int poller = epoll_create1(EPOLL_CLOEXEC);
    for (int index = 0; index < clients; index++) {
        struct client *client = calloc(1, sizeof *client);
        int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        if (client == NULL || made < 0 || connect(made, (struct sockaddr *)&address, sizeof address) != 0) fail("no connection");
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client->tls = SSL_new(context);
        SSL_set_tlsext_host_name(client->tls, words[1]);
        SSL_set_fd(client->tls, made);
        if (SSL_connect(client->tls) != 1) fail("the handshake has failed");
        if (fcntl(made, F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
        int length = snprintf((char *)buffer, sizeof buffer,
                              "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", words[1]);
        write_all(client, buffer, (size_t)length);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, made, &event) != 0) fail("epoll_ctl");
    }
    double end = now() + atof(words[5]);
    struct epoll_event events[256];
    while (!is_over) {
        int ready = epoll_wait(poller, events, 256, 1000);
        is_over = now() >= end;
        for (int index = 0; index < ready; index++) {
            struct client *client = events[index].data.ptr;
            int got;
            // One record at a time; a record more that OpenSSL has read already would raise no event.
            do {
                got = SSL_read(client->tls, buffer, sizeof buffer);
                if (got > 0) take(client, buffer, (size_t)got);
            } while (got > 0 && SSL_has_pending(client->tls));
            if (got <= 0 && SSL_get_error(client->tls, got) != SSL_ERROR_WANT_READ) fail("a connection has ended");
        }
    }
    printf("%llu\n", (unsigned long long)received);
    return 0;
}
