// What hosts and guests of LinuxNetTest need and busybox has not:
//
//   net as UID PROGRAM...           runs it as another user
//   net channels DEVICE COUNT       sets how many pairs of queues are used
//   net feature DEVICE NAME on|off  sets an offload, as ethtool(8) does
//   net dns ADDRESS                 answers at port 53 that each name has this IPv4 address
//   net ask ADDRESS PORT NAME       asks a server for the IPv4 address of a name

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>

enum { MESSAGE = 512, HEADER = 12, FLAGS = 2, ANSWERS = 6 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void ethtool(const char *device, void *command) {
    struct ifreq request = {.ifr_data = command};
    strncpy(request.ifr_name, device, IFNAMSIZ - 1);
    int any = socket(AF_INET, SOCK_DGRAM, 0);
    if (any < 0 || ioctl(any, SIOCETHTOOL, &request)) {
        fail(device);
    }
    close(any);
}

static void channels(const char *device, int count) {
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    ethtool(device, &channels);
    channels.cmd = ETHTOOL_SCHANNELS;
    channels.combined_count = count;
    ethtool(device, &channels);
    channels.cmd = ETHTOOL_GCHANNELS;
    ethtool(device, &channels);
    printf("%u of %u\n", channels.combined_count, channels.max_combined);
}

static int feature(const char *device, const char *name, int on) {
    struct {
        struct ethtool_sset_info info;
        __u32 size;
    } set = {{.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}, 0};
    ethtool(device, &set);
    struct ethtool_gstrings *names = calloc(1, sizeof *names + set.size * ETH_GSTRING_LEN);
    names->cmd = ETHTOOL_GSTRINGS;
    names->string_set = ETH_SS_FEATURES;
    names->len = set.size;
    ethtool(device, names);
    for (__u32 i = 0; i < set.size; i++) {
        if (strncmp((char *) names->data + i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN) == 0) {
            __u32 blocks = (set.size + 31) / 32;
            struct ethtool_sfeatures *wanted =
                calloc(1, sizeof *wanted + blocks * sizeof wanted->features[0]);
            wanted->cmd = ETHTOOL_SFEATURES;
            wanted->size = blocks;
            wanted->features[i / 32].valid = 1u << i % 32;
            wanted->features[i / 32].requested = on ? 1u << i % 32 : 0;
            ethtool(device, wanted);
            struct ethtool_gfeatures *now =
                calloc(1, sizeof *now + blocks * sizeof now->features[0]);
            now->cmd = ETHTOOL_GFEATURES;
            now->size = blocks;
            ethtool(device, now);
            puts(now->features[i / 32].active >> i % 32 & 1 ? "on" : "off");
            return 0;
        }
    }
    fprintf(stderr, "no feature %s\n", name);
    return 1;
}

static struct sockaddr_in place(const char *address, int port) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &place.sin_addr);
    return place;
}

static void dns(const char *address) {
    unsigned char message[MESSAGE];
    struct sockaddr_in here = place("0.0.0.0", 53), client;
    int server = socket(AF_INET, SOCK_DGRAM, 0);
    if (server < 0 || bind(server, (void *) &here, sizeof here)) {
        fail("bind");
    }
    for (;;) {
        socklen_t size = sizeof client;
        ssize_t count = recvfrom(server, message, MESSAGE - 16, 0, (void *) &client, &size);
        if (count < HEADER + 5) {
            continue;
        }
        // the question again, without what is behind it; an address, if that is what is asked for
        size_t end = HEADER + strnlen((char *) message + HEADER, count - HEADER) + 5;
        int asks_address = end <= (size_t) count && message[end - 3] == 1;
        message[FLAGS] |= 0x80;
        message[ANSWERS + 1] = asks_address;
        memset(message + ANSWERS + 2, 0, 4);
        if (asks_address) {
            unsigned char answer[] = {0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
            memcpy(message + end, answer, sizeof answer);
            inet_pton(AF_INET, address, message + end + sizeof answer);
            end += sizeof answer + 4;
        }
        sendto(server, message, end, 0, (void *) &client, size);
    }
}

static int ask(const char *address, int port, char *name) {
    unsigned char message[MESSAGE] = {7, 7, 1, 0, 0, 1};
    size_t end = HEADER;
    for (char *label = strtok(name, "."); label; label = strtok(NULL, ".")) {
        message[end++] = strlen(label);
        end = stpcpy((char *) message + end, label) - (char *) message;
    }
    message[end + 2] = message[end + 4] = 1;
    end += 5;
    struct sockaddr_in server = place(address, port);
    struct timeval second = {1, 0};
    int any = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(any, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    for (int tries = 0; tries < 20; tries++) {
        unsigned char answer[MESSAGE];
        sendto(any, message, end, 0, (void *) &server, sizeof server);
        ssize_t count = recv(any, answer, MESSAGE, 0);
        if (count >= 4) {
            unsigned char *found = answer + count - 4;
            printf("%d.%d.%d.%d\n", found[0], found[1], found[2], found[3]);
            return 0;
        }
    }
    fail("no answer");
    return 1;
}

int main(int count, char **args) {
    if (count > 3 && !strcmp(args[1], "as")) {
        int user = atoi(args[2]);
        if (setgroups(0, NULL) || setgid(user) || setuid(user)) {
            fail("as");
        }
        execvp(args[3], args + 3);
        fail(args[3]);
    }
    if (count == 4 && !strcmp(args[1], "channels")) {
        channels(args[2], atoi(args[3]));
        return 0;
    }
    if (count == 5 && !strcmp(args[1], "feature")) {
        return feature(args[2], args[3], !strcmp(args[4], "on"));
    }
    if (count == 3 && !strcmp(args[1], "dns")) {
        dns(args[2]);
    }
    if (count == 5 && !strcmp(args[1], "ask")) {
        return ask(args[2], atoi(args[3]), args[4]);
    }
    return 2;
}
