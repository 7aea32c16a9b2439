/* Bulk produce and consume by librdkafka, at the library's own speed.
 *
 *   bulk produce --library SO --bootstrap H:P --topic T --records N [--size 1024] [--partitions 1] [--acks -1]
 *   bulk consume --library SO --bootstrap H:P --topic T --records N [--partitions 1]
 *
 * The library is the one inside the confluent-kafka wheel: it is opened at run time, and the few functions used are
 * declared here (its ABI is stable), so no header or development package is needed. Prints one JSON object.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <dlfcn.h>

/* librdkafka's public message struct. */
typedef struct {
    int err;
    void *topic;
    int32_t partition;
    void *payload;
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *internal;
} Message;

enum { PRODUCER = 0, CONSUMER = 1, QUEUE_FULL = -184, OFFSET_BEGINNING = -2, BATCH = 10000 };

static void *library;

static void *function(const char *name) {
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    return found;
}

/* F(name, result, arguments) binds a function of the library to a local of the same name. */
#define F(name, result, ...) result (*name)(__VA_ARGS__) = (result(*)(__VA_ARGS__))(uintptr_t)function("rd_kafka_" #name)

static size_t delivered, failed;
static uint64_t last_ns;

static void on_delivery(void *client, const Message *message, void *opaque) {
    (void)client;
    (void)opaque;
    if (message->err) failed++;
    else delivered++;
    last_ns = now_ns();
}

static void *configured(const char *const (*pairs)[2]) {
    F(conf_new, void *, void);
    F(conf_set, int, void *, const char *, const char *, char *, size_t);
    void *conf = conf_new();
    char why[512];
    for (; (*pairs)[0]; pairs++)
        if (conf_set(conf, (*pairs)[0], (*pairs)[1], why, sizeof why) != 0) {
            fprintf(stderr, "%s\n", why);
            exit(2);
        }
    return conf;
}

static void *client(int kind, void *conf) {
    F(new, void *, int, void *, char *, size_t);
    char why[512];
    void *made = new (kind, conf, why, sizeof why);
    if (!made) {
        fprintf(stderr, "%s\n", why);
        exit(2);
    }
    return made;
}

static void report(size_t records, size_t bytes, double seconds, double cpu) {
    printf("{\"records\": %zu, \"bytes\": %zu, \"seconds\": %.4f, \"rate\": %.1f, \"mb_per_second\": %.2f, "
           "\"client_cpu_seconds\": %.3f, \"errors\": %zu}\n",
           records, bytes, seconds, (double)records / seconds, (double)bytes / 1e6 / seconds, cpu, failed);
}

static int produce_all(int argc, char **argv, size_t records, int partitions) {
    size_t size = (size_t)atol(option(argc, argv, "size", "1024"));
    const char *const pairs[][2] = {
        {"bootstrap.servers", option(argc, argv, "bootstrap", NULL)},
        {"acks", option(argc, argv, "acks", "-1")},
        {"queue.buffering.max.messages", "1000000"},
        {"queue.buffering.max.kbytes", "262144"},
        {NULL, NULL},
    };
    F(conf_set_dr_msg_cb, void, void *, void (*)(void *, const Message *, void *));
    F(topic_new, void *, void *, const char *, void *);
    F(produce, int, void *, int32_t, int, void *, size_t, const void *, size_t, void *);
    F(poll, int, void *, int);
    F(flush, int, void *, int);
    F(last_error, int, void);
    void *conf = configured(pairs);
    conf_set_dr_msg_cb(conf, on_delivery);
    void *producer = client(PRODUCER, conf);
    void *topic = topic_new(producer, option(argc, argv, "topic", NULL), NULL);
    char *payload = malloc(size);
    for (size_t i = 0; i < size; i++) payload[i] = (char)('!' + (i * 7 + i / 64) % 90);

    /* Connected, and the topic known, before the clock runs. */
    for (int p = 0; p < partitions; p++) produce(topic, p, 0, payload, size, NULL, 0, NULL);
    flush(producer, 30000);
    if (delivered != (size_t)partitions) {
        fprintf(stderr, "the first records were not acknowledged\n");
        return 2;
    }
    delivered = 0;
    double cpu = cpu_seconds();
    uint64_t start = now_ns();
    for (size_t i = 0; i < records; i++) {
        while (produce(topic, (int32_t)(i % (size_t)partitions), 0, payload, size, NULL, 0, NULL) != 0) {
            if (last_error() != QUEUE_FULL) {
                fprintf(stderr, "produce failed: %d\n", last_error());
                return 2;
            }
            poll(producer, 10);
        }
        if (i % 512 == 0) poll(producer, 0);
    }
    while (delivered + failed < records)
        if (flush(producer, 60000) != 0) {
            fprintf(stderr, "not acknowledged in 60 s\n");
            return 2;
        }
    report(delivered, delivered * size, (double)(last_ns - start) / 1e9, cpu_seconds() - cpu);
    return failed != 0;
}

static int consume_all(int argc, char **argv, size_t records, int partitions) {
    const char *const pairs[][2] = {
        {"bootstrap.servers", option(argc, argv, "bootstrap", NULL)},
        {"group.id", "bench"},
        {"enable.auto.commit", "false"},
        {NULL, NULL},
    };
    F(topic_partition_list_new, void *, int);
    F(topic_partition_list_add, void *, void *, const char *, int32_t);
    F(topic_partition_list_set_offset, int, void *, const char *, int32_t, int64_t);
    F(poll_set_consumer, int, void *);
    F(assign, int, void *, const void *);
    F(queue_get_consumer, void *, void *);
    F(consume_batch_queue, ssize_t, void *, int, Message **, size_t);
    F(message_destroy, void, Message *);
    const char *topic = option(argc, argv, "topic", NULL);
    void *consumer = client(CONSUMER, configured(pairs));
    poll_set_consumer(consumer);
    void *list = topic_partition_list_new(partitions);
    for (int p = 0; p < partitions; p++) {
        topic_partition_list_add(list, topic, p);
        topic_partition_list_set_offset(list, topic, p, OFFSET_BEGINNING);
    }
    void *queue = queue_get_consumer(consumer);
    double cpu = cpu_seconds();
    if (assign(consumer, list) != 0) die("assign");
    static Message *messages[BATCH];
    size_t got = 0, bytes = 0;
    uint64_t first_ns = 0, give_up = now_ns() + 60000000000u;
    while (got < records && now_ns() < give_up) {
        ssize_t n = consume_batch_queue(queue, 100, messages, BATCH);
        if (n > 0 && !first_ns) first_ns = now_ns();
        for (ssize_t i = 0; i < n; i++) {
            if (messages[i]->err) failed++;
            else {
                got++;
                bytes += messages[i]->len;
            }
            message_destroy(messages[i]);
        }
    }
    report(got, bytes, (double)(now_ns() - first_ns) / 1e9, cpu_seconds() - cpu);
    return got < records;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "bulk produce|consume --key value...\n");
        return 2;
    }
    const char *verb = argv[1];
    argc--;
    argv++;
    library = dlopen(option(argc, argv, "library", NULL), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    size_t records = (size_t)atol(option(argc, argv, "records", NULL));
    int partitions = atoi(option(argc, argv, "partitions", "1"));
    int status = strcmp(verb, "produce") == 0 ? produce_all(argc, argv, records, partitions)
                                              : consume_all(argc, argv, records, partitions);
    fflush(stdout);
    /* The library's threads need no orderly end here, and tearing it down would be measured as broker idle time. */
    _exit(status);
}
