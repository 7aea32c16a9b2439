/* From send to receive: records at a fixed rate on one connection, a long-polling Fetch on another.
 *
 *   end_to_end --port P --topic T [--host 127.0.0.1] [--rate 2000] [--size 100] [--acks -1] [--seconds 5] [--warmup 1]
 *
 * The topic has one partition. Each record carries the moment just before its send; the latency is taken when the
 * Fetch answer that holds it has been read. Prints one JSON object. Older records of the topic are passed over.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

enum { FETCH_VERSION = 11, FETCH_BYTES_MAX = 1 << 20 };

typedef struct {
    int fd;
    Buffer in; /* room for one answer and what follows; size is what has arrived */
} Peer;

static void send_all(int fd, const uint8_t *at, size_t size) {
    while (size) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0) die("send");
        at += n;
        size -= (size_t)n;
    }
}

/* Moves what has arrived into p->in. */
static void take(Peer *p) {
    for (;;) {
        if (p->in.room - p->in.size < 65536) {
            p->in.room = p->in.room ? p->in.room * 2 : 4 << 20;
            p->in.at = realloc(p->in.at, p->in.room);
            if (!p->in.at) die("memory");
        }
        ssize_t n = recv(p->fd, p->in.at + p->in.size, p->in.room - p->in.size, MSG_DONTWAIT);
        if (n == 0) {
            errno = 0;
            die("the broker closed a connection");
        }
        if (n < 0) {
            if (errno == EAGAIN) return;
            die("recv");
        }
        p->in.size += (size_t)n;
    }
}

/* The first whole answer in p->in without its size, or NULL; `drop` takes it out. */
static const uint8_t *whole(const Peer *p) {
    if (p->in.size < 4) return NULL;
    return p->in.size >= 4 + (size_t)get_int(p->in.at, 4) ? p->in.at + 4 : NULL;
}

static void drop(Peer *p) {
    size_t used = 4 + (size_t)get_int(p->in.at, 4);
    p->in.size -= used;
    memmove(p->in.at, p->in.at + used, p->in.size);
}

static void ask_fetch(int fd, const char *topic, int64_t offset) {
    static Buffer b;
    b.size = 0;
    put_int(&b, 0, 4);
    put_int(&b, 1, 2);
    put_int(&b, FETCH_VERSION, 2);
    put_int(&b, 1, 4);
    put_int(&b, 5, 2);
    put(&b, "bench", 5);
    put_int(&b, -1, 4);  /* replica id */
    put_int(&b, 500, 4); /* longest wait, ms */
    put_int(&b, 1, 4);   /* least bytes */
    put_int(&b, FETCH_BYTES_MAX, 4);
    put_int(&b, 0, 1);  /* isolation */
    put_int(&b, 0, 4);  /* no session */
    put_int(&b, -1, 4); /* session epoch */
    put_int(&b, 1, 4);
    put_int(&b, (int64_t)strlen(topic), 2);
    put(&b, topic, strlen(topic));
    put_int(&b, 1, 4);
    put_int(&b, 0, 4);  /* partition */
    put_int(&b, -1, 4); /* leader epoch */
    put_int(&b, offset, 8);
    put_int(&b, -1, 8); /* log start offset */
    put_int(&b, FETCH_BYTES_MAX, 4);
    put_int(&b, 0, 4); /* forgotten topics */
    put_int(&b, 0, 2); /* rack */
    patch_int(b.at, (int64_t)(b.size - 4), 4);
    send_all(fd, b.at, b.size);
}

static int64_t get_varint(const uint8_t **at) {
    uint64_t raw = get_uvarint(at);
    return (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
}

typedef struct {
    Latencies latencies;
    uint64_t measured_from;
    int64_t next_offset;
} Receiver;

static void receive_batch(Receiver *r, const uint8_t *batch, uint64_t arrived_ns) {
    r->next_offset = get_int(batch, 8) + get_int(batch + 23, 4) + 1;
    int64_t count = get_int(batch + 57, 4);
    const uint8_t *at = batch + 61;
    while (count--) {
        int64_t size = get_varint(&at);
        const uint8_t *end = at + size;
        at += 1;
        get_varint(&at);
        get_varint(&at);
        int64_t key = get_varint(&at);
        if (key > 0) at += key;
        get_varint(&at);
        uint64_t sent_ns = (uint64_t)get_int(at, 8);
        if (sent_ns >= r->measured_from && sent_ns <= arrived_ns) note(&r->latencies, arrived_ns - sent_ns);
        at = end;
    }
}

/* The answer to ask_fetch. Returns the error code of the answer or its partition. */
static int receive(Receiver *r, const uint8_t *answer, uint64_t arrived_ns) {
    const uint8_t *at = answer + 4 + 4; /* correlation id, throttle time */
    int error = (int)get_int(at, 2);
    if (error) return error;
    at += 2 + 4; /* error, session id */
    if (get_int(at, 4) != 1) return -2;
    at += 4;
    at += 2 + get_int(at, 2); /* topic */
    at += 4 + 4;              /* partitions, index */
    error = (int)get_int(at, 2);
    if (error) return error;
    at += 2 + 24; /* error, high watermark, last stable offset, log start offset */
    int64_t aborted = get_int(at, 4);
    at += 4 + (aborted > 0 ? aborted * 16 : 0) + 4; /* aborted, preferred replica */
    int64_t size = get_int(at, 4);
    at += 4;
    const uint8_t *end = at + size;
    while (end - at >= 61) {
        const uint8_t *next = at + 12 + get_int(at + 8, 4);
        if (next > end) break; /* a batch that was cut: it comes whole with the next answer */
        receive_batch(r, at, arrived_ns);
        at = next;
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *host = option(argc, argv, "host", "127.0.0.1");
    int port = atoi(option(argc, argv, "port", NULL));
    const char *topic = option(argc, argv, "topic", NULL);
    double rate = atof(option(argc, argv, "rate", "2000"));
    size_t size = (size_t)atol(option(argc, argv, "size", "100"));
    int acks = atoi(option(argc, argv, "acks", "-1"));
    double seconds = atof(option(argc, argv, "seconds", "5"));
    double warmup = atof(option(argc, argv, "warmup", "1"));
    if (size < 8 || rate <= 0 || acks == 0) {
        fprintf(stderr, "records of at least 8 bytes, a rate above 0, acks 1 or -1\n");
        return 2;
    }

    size_t batch_at, value_at;
    Buffer frame = produce_frame(9, topic, 0, acks, size, &batch_at, &value_at);
    size_t batch_end = batch_at + batch_size(size);
    Peer producer = {.fd = connect_to(host, port)}, consumer = {.fd = connect_to(host, port)};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    long period_ns = (long)(1e9 / rate);
    struct itimerspec every = {{period_ns / 1000000000, period_ns % 1000000000}, {0, 1000000}};
    if (timer < 0 || timerfd_settime(timer, 0, &every, NULL) != 0) die("timerfd");
    int poll = epoll_create1(EPOLL_CLOEXEC);
    int fds[] = {timer, producer.fd, consumer.fd};
    for (int i = 0; i < 3; i++) {
        struct epoll_event want = {.events = EPOLLIN, .data.fd = fds[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &want) != 0) die("epoll_ctl");
    }

    uint64_t start = now_ns();
    Receiver receiver = {.measured_from = start + (uint64_t)(warmup * 1e9)};
    uint64_t send_until = receiver.measured_from + (uint64_t)(seconds * 1e9), give_up = send_until + 10000000000u;
    size_t sent = 0;
    int32_t correlation_id = 0;
    long errors = 0;
    int first_error = 0;
    ask_fetch(consumer.fd, topic, 0);
    for (uint64_t now = start; now < give_up && (now < send_until || receiver.latencies.count < sent); now = now_ns()) {
        struct epoll_event events[3];
        int ready = epoll_wait(poll, events, 3, 100);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd, error = 0;
            const uint8_t *answer;
            if (fd == timer) {
                uint64_t ticks = 0;
                if (read(timer, &ticks, sizeof ticks) != sizeof ticks) continue;
                for (; ticks && now_ns() < send_until; ticks--) {
                    uint64_t at = now_ns();
                    patch_int(frame.at + 8, ++correlation_id, 4);
                    patch_int(frame.at + value_at, (int64_t)at, 8);
                    patch_int(frame.at + batch_at + 17, crc32c(frame.at + batch_at + 21, batch_end - batch_at - 21), 4);
                    send_all(producer.fd, frame.at, frame.size);
                    sent += at >= receiver.measured_from;
                }
            } else if (fd == producer.fd) {
                take(&producer);
                for (; (answer = whole(&producer)); drop(&producer)) {
                    if ((error = produce_error(answer))) errors++;
                    if (error && !first_error) first_error = error;
                }
            } else {
                take(&consumer);
                uint64_t arrived = now_ns();
                while ((answer = whole(&consumer))) {
                    if ((error = receive(&receiver, answer, arrived))) errors++;
                    if (error && !first_error) first_error = error;
                    drop(&consumer);
                    ask_fetch(consumer.fd, topic, receiver.next_offset);
                }
            }
        }
    }
    printf("{\"sent\": %zu, \"received\": %zu, \"rate\": %.1f, ", sent, receiver.latencies.count, (double)sent / seconds);
    size_t received = receiver.latencies.count;
    print_latencies(&receiver.latencies);
    printf(", \"errors\": %ld, \"first_error\": %d}\n", errors, first_error);
    return errors != 0 || received != sent;
}
