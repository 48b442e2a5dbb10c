// Sends frames into a network device as fast as it takes them: flood DEVICE PROGRAM...
//
// Runs PROGRAM, which makes the device, and floods it until the program ends. How large the frames are
// is what standard input says, a number a line; before the first there are none. With 64 KiB they are
// TCP that the receiver cuts up.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>

enum { BATCH = 64, LARGEST = 65214, SEGMENT = 1448 };

static struct {
    struct virtio_net_hdr header;
    unsigned char frame[LARGEST];
} __attribute__((packed)) message;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void make(unsigned length) {
    memset(&message, 0, sizeof message);
    unsigned char *frame = message.frame;
    frame[0] = frame[6] = 2;
    frame[11] = 1;
    frame[12] = 8;
    unsigned char *ip = frame + ETH_HLEN, *tcp = ip + 20;
    unsigned size = length - ETH_HLEN;
    ip[0] = 0x45;
    ip[2] = size >> 8;
    ip[3] = size;
    ip[8] = 64;
    ip[9] = 6;
    unsigned sum = 0x4500 + size + 0x4006;
    sum = ~((sum >> 16) + (sum & 0xffff));
    ip[10] = sum >> 8;
    ip[11] = sum;
    tcp[12] = 0x50;
    tcp[13] = 0x10;
    if (length > 1514) {
        message.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        message.header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        message.header.hdr_len = ETH_HLEN + 40;
        message.header.gso_size = SEGMENT;
        message.header.csum_start = ETH_HLEN + 20;
        message.header.csum_offset = 16;
    }
}

static int open_device(const char *name, pid_t program) {
    struct sockaddr_ll place = {.sll_family = AF_PACKET};
    while ((place.sll_ifindex = if_nametoindex(name)) == 0) {
        if (waitpid(program, NULL, WNOHANG) != 0) {
            exit(1);
        }
        usleep(1000);
    }
    int device = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
    if (device < 0 || setsockopt(device, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) ||
        bind(device, (void *) &place, sizeof place)) {
        fail("AF_PACKET");
    }
    return device;
}

int main(int count, char **args) {
    if (count < 3) {
        return 2;
    }
    pid_t program = fork();
    if (program == 0) {
        dup2(open("/dev/null", O_RDONLY), 0);
        execvp(args[2], args + 2);
        fail(args[2]);
    }
    int device = open_device(args[1], program);
    unsigned length = 0;
    struct iovec piece;
    struct mmsghdr batch[BATCH];
    memset(batch, 0, sizeof batch);
    for (int i = 0; i < BATCH; i++) {
        batch[i].msg_hdr.msg_iov = &piece;
        batch[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        struct pollfd command = {0, POLLIN, 0};
        if (poll(&command, 1, length ? 0 : 10) == 1) {
            char line[32] = "";
            ssize_t got = read(0, line, sizeof line - 1);
            if (got <= 0) {
                break;
            }
            length = atoi(line);
            make(length);
            piece = (struct iovec) {&message, sizeof message.header + length};
        }
        if (waitpid(program, NULL, WNOHANG) != 0) {
            return 0;
        }
        if (length && sendmmsg(device, batch, length > 1514 ? 4 : BATCH, 0) < 0) {
            sched_yield(); // it is full
        }
    }
    waitpid(program, NULL, 0);
    return 0;
}
