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

    private static void awaitState(Thread thread, Thread.State state) {
        while (thread.getState() != state) {
            assertTrue(thread.isAlive());
            Thread.onSpinWait();
        }
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
            second = Thread.ofPlatform().start(() -> turn().close());
            awaitState(second, Thread.State.WAITING);
        }
        second.join();
    }

    @Test
    void guestDoesNotEndWhileItIsUsedAndThenThereIsNone() throws Exception {
        guests.begin("web");
        Thread end;
        try (CurrentGuest<String>.Use use = turn()) {
            assertEquals("web", use.guest());
            end = Thread.ofPlatform().start(guests::end);
            awaitState(end, Thread.State.WAITING);
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
