/* A closed loop of small Produce requests: N connections, each sends one record and waits for its answer.
 *
 *   produce_load --port P --topic T [--host 127.0.0.1] [--partitions 1] [--connections 1] [--size 100]
 *                [--acks -1] [--seconds 5] [--warmup 1] [--version 9]
 *
 *   produce_load --port P --topic T --first 1
 *
 * waits for the broker to come up and ends with its first acknowledged record: "first_ns" is that moment on
 * CLOCK_MONOTONIC. Without --first it prints one JSON object: requests, rate, latencies in microseconds, errors, CPU of this client. One thread, one
 * epoll; the request bytes are made once per partition and only the correlation id is written anew.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <sys/epoll.h>

enum { ANSWER_ROOM = 4096 };

typedef struct {
    int fd;
    int partition;
    int32_t correlation_id;
    uint64_t sent_ns;
    size_t got;
    uint8_t answer[ANSWER_ROOM];
} Connection;

static Buffer *frames;

static void ask(Connection *c) {
    Buffer *frame = &frames[c->partition];
    patch_int(frame->at + 8, ++c->correlation_id, 4);
    c->got = 0;
    c->sent_ns = now_ns();
    /* A closed loop of small requests never fills a socket's buffer; large ones are written on. */
    size_t done = 0;
    while (done < frame->size) {
        ssize_t n = send(c->fd, frame->at + done, frame->size - done, MSG_NOSIGNAL);
        if (n < 0) die("send");
        done += (size_t)n;
    }
}

/* Reads what is there. 1: a whole answer stands in c->answer (frame size left out by the caller), 0: not yet. */
static int take(Connection *c) {
    ssize_t n = recv(c->fd, c->answer + c->got, ANSWER_ROOM - c->got, MSG_DONTWAIT);
    if (n == 0) {
        errno = 0;
        die("the broker closed a connection");
    }
    if (n < 0) {
        if (errno == EAGAIN) return 0;
        die("recv");
    }
    c->got += (size_t)n;
    if (c->got < 4) return 0;
    size_t size = (size_t)get_int(c->answer, 4);
    if (size + 4 > ANSWER_ROOM) {
        errno = 0;
        die("an answer longer than expected");
    }
    return c->got >= size + 4;
}

/* One try to get one record acknowledged; every failure is a reason to try again. */
static int acknowledged(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {1, 0};
    uint8_t answer[ANSWER_ROOM];
    size_t got = 0;
    int done = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (inet_pton(AF_INET, host, &address.sin_addr) == 1 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, frames[0].at, frames[0].size, MSG_NOSIGNAL) == (ssize_t)frames[0].size) {
        while (got < 4 || got < 4 + (size_t)get_int(answer, 4)) {
            ssize_t n = recv(fd, answer + got, sizeof answer - got, 0);
            if (n <= 0) break;
            got += (size_t)n;
        }
        done = got > 4 && produce_error(answer + 4) == 0;
    }
    close(fd);
    return done;
}

static int wait_for_first(const char *host, int port) {
    uint64_t give_up = now_ns() + 120000000000u;
    while (now_ns() < give_up) {
        if (acknowledged(host, port)) {
            printf("{\"first_ns\": %llu}\n", (unsigned long long)now_ns());
            return 0;
        }
        usleep(1000);
    }
    return 1;
}

int main(int argc, char **argv) {
    const char *host = option(argc, argv, "host", "127.0.0.1");
    int port = atoi(option(argc, argv, "port", NULL));
    const char *topic = option(argc, argv, "topic", NULL);
    int partitions = atoi(option(argc, argv, "partitions", "1"));
    int connections = atoi(option(argc, argv, "connections", "1"));
    size_t size = (size_t)atol(option(argc, argv, "size", "100"));
    int acks = atoi(option(argc, argv, "acks", "-1"));
    double seconds = atof(option(argc, argv, "seconds", "5"));
    double warmup = atof(option(argc, argv, "warmup", "1"));
    int version = atoi(option(argc, argv, "version", "9"));
    if (version < 9 || version > 12 || acks == 0 || connections < 1 || partitions < 1) {
        fprintf(stderr, "versions 9 to 12, acks 1 or -1, at least one connection and partition\n");
        return 2;
    }

    frames = calloc((size_t)partitions, sizeof *frames);
    for (int p = 0; p < partitions; p++) frames[p] = produce_frame(version, topic, p, acks, size, NULL, NULL);
    if (atoi(option(argc, argv, "first", "0"))) return wait_for_first(host, port);
    Connection *all = calloc((size_t)connections, sizeof *all);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < connections; i++) {
        all[i].fd = connect_to(host, port);
        all[i].partition = i % partitions;
        struct epoll_event want = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &want) != 0) die("epoll_ctl");
    }

    Latencies latencies = {0};
    uint64_t start = now_ns(), measured_from = start + (uint64_t)(warmup * 1e9);
    uint64_t end = measured_from + (uint64_t)(seconds * 1e9), last = start;
    long errors = 0;
    int first_error = 0;
    double cpu_start = -1;
    struct epoll_event events[256];
    for (int i = 0; i < connections; i++) ask(&all[i]);
    while (last < end) {
        int ready = epoll_wait(poll, events, 256, 10000);
        if (ready == 0) {
            errno = 0;
            die("no answer for 10 s");
        }
        for (int i = 0; i < ready; i++) {
            Connection *c = events[i].data.ptr;
            if (!take(c)) continue;
            last = now_ns();
            if (get_int(c->answer + 4, 4) != c->correlation_id) {
                errno = 0;
                die("an answer to another request");
            }
            int error = produce_error(c->answer + 4);
            if (error) {
                errors++;
                if (!first_error) first_error = error;
            }
            if (last >= measured_from) {
                if (cpu_start < 0) cpu_start = cpu_seconds();
                if (!error) note(&latencies, last - c->sent_ns);
            }
            ask(c);
        }
    }
    double elapsed = (double)(last - measured_from) / 1e9;
    printf("{\"requests\": %zu, \"seconds\": %.3f, \"rate\": %.1f, ", latencies.count, elapsed,
           (double)latencies.count / elapsed);
    print_latencies(&latencies);
    printf(", \"errors\": %ld, \"first_error\": %d, \"client_cpu_seconds\": %.3f}\n", errors, first_error,
           cpu_seconds() - (cpu_start < 0 ? 0 : cpu_start));
    return errors != 0;
}
