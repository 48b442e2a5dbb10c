package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/// Threads that use a guest, of which there is no more here than its name.
class CurrentGuestTest {
    private final CurrentGuest<String> guests = new CurrentGuest<>();

    private CurrentGuest<String>.Use turn() {
        CurrentGuest<String>.Use turn = guests.turn();
        assertNotNull(turn);
        return turn;
    }

    /// A thread that is at `work`, and has to wait there.
    private static Thread waitingAt(Runnable work) {
        Thread thread = Thread.ofPlatform().start(work);
        while (thread.getState() != Thread.State.WAITING) {
            assertTrue(thread.isAlive());
            Thread.onSpinWait();
        }
        return thread;
    }

    @Test
    void whoLooksDoesNotWaitForWhoHasATurn() {
        guests.begin("web");
        try (CurrentGuest<String>.Use turn = turn();
                CurrentGuest<String>.Use look = guests.use()) {
            assertNotNull(look);
            assertEquals(turn.guest(), look.guest());
        }
    }

    @Test
    void oneTurnWaitsForTheOther() throws Exception {
        guests.begin("web");
        Thread second;
        try (CurrentGuest<String>.Use first = turn()) {
            assertEquals("web", first.guest());
            second = waitingAt(() -> turn().close());
        }
        second.join();
    }

    @Test
    void guestDoesNotEndWhileItIsUsedAndThenThereIsNone() throws Exception {
        guests.begin("web");
        Thread end;
        try (CurrentGuest<String>.Use use = turn()) {
            assertEquals("web", use.guest());
            end = waitingAt(guests::end);
            assertNull(guests.use());
            assertNull(guests.turn());
        }
        end.join();
    }

    @Test
    void whoIsInterruptedWhileItEndsLearnsOfItThen() throws Exception {
        guests.begin("web");
        try (ExecutorService other = Executors.newSingleThreadExecutor()) {
            Future<Boolean> interrupted;
            try (CurrentGuest<String>.Use use = turn()) {
                assertEquals("web", use.guest());
                interrupted =
                        other.submit(() -> {
                            Thread.currentThread().interrupt();
                            guests.end();
                            return Thread.interrupted();
                        });
                assertFalse(interrupted.isDone());
            }
            assertTrue(interrupted.get());
        }
    }
}
