package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.kaval.devices.virtio.GuestDriver.Buffer;
import org.kaval.devices.virtio.NetThread.Next;
import org.kaval.linux.Epoll;
import org.kaval.linux.Fd;

class NetThreadTest {
    /// Keeps the requests that it takes.
    private static final class Keeper implements NetThread.Work {
        private final VirtQueue queue;
        private final DescriptorChain chain;
        final AtomicInteger kept = new AtomicInteger();

        Keeper(VirtQueue queue) {
            this.queue = queue;
            this.chain = new DescriptorChain(queue.memory());
        }

        @Override
        public int events() {
            return Epoll.IN;
        }

        @Override
        public @Nullable Fd host() {
            return null;
        }

        @Override
        public Next step() {
            if (queue.take(chain) || (queue.awaitRequest() && queue.take(chain))) {
                kept.incrementAndGet();
            }
            return Next.AWAIT_DRIVER;
        }

        @Override
        public void putBack() {
            for (int left = kept.getAndSet(0); left > 0; left--) {
                queue.putBack();
            }
        }
    }

    /// As when a driver uses fewer pairs of queues, and then more: their requests are there still.
    @Test
    void requestsOfAThreadThatEndsAreNotLost() throws Exception {
        try (var driver = new DeviceDriver(new IdleVsock())) {
            driver.begin(DeviceDriver.DEFAULT);
            VirtQueue queue = driver.control.queue(0);
            var keeper = new Keeper(queue);
            NetThread thread = NetThread.start("net", driver.control, 0, keeper);
            driver.submit(0, Buffer.toWrite(DeviceDriver.DATA, 64));
            DeviceDriver.until("it has the request", () -> keeper.kept.get() == 1);

            thread.close();

            assertTrue(queue.awaitIdle(System.nanoTime()));
            assertTrue(queue.take(new DescriptorChain(driver.memory)));
        }
    }
}
