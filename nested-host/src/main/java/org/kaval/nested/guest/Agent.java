package org.kaval.nested.guest;

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/// Runs in the nested host, started by its init: starts processes for the host, over a virtio
/// serial port.
///
/// A connection is a session: when the host goes away its processes are killed, and the agent waits
/// for the next one. So it is found waiting in a saved state. A command given as arguments is
/// started before the first session; whoever first asks for the same command gets that process.
public final class Agent {
    private static final String PORT = "org.kaval.agent";
    private static final Path PORTS = Path.of("/sys/class/virtio-ports");

    private final InputStream in;
    private final OutputStream out;
    private final Map<Integer, AgentProcess> processes = new ConcurrentHashMap<>();
    private @Nullable AgentProcess prestarted; // the main thread's

    private Agent(Path port) throws IOException {
        var file = new RandomAccessFile(port.toFile(), "rw"); // it can be opened once only
        this.in = new PortInput(new FileInputStream(file.getFD()));
        this.out = new FileOutputStream(file.getFD());
    }

    /// @param args a command to be started beforehand; may be empty
    public static void main(String[] args) throws Exception {
        AgentProcess prestarted = null;
        if (args.length > 0) {
            var start = new Message.Start(List.of(args), Map.of(), "/");
            prestarted = AgentProcess.start(start);
            prestarted.awaitReady();
        }
        var agent = new Agent(findPort());
        agent.prestarted = prestarted;
        System.out.println("agent: ready");
        while (true) {
            agent.serve();
        }
    }

    /// The classes that the agent is made of, without those nested in them.
    public static List<Class<?>> parts() {
        return List.of(Agent.class, AgentProcess.class, Frames.class, Message.class);
    }

    private static Path findPort() throws IOException {
        try (DirectoryStream<Path> ports = Files.newDirectoryStream(PORTS)) {
            for (Path port : ports) {
                if (Files.readString(port.resolve("name")).strip().equals(PORT)) {
                    return Path.of("/dev").resolve(port.getFileName());
                }
            }
        }
        throw new IOException("no virtio serial port is named " + PORT);
    }

    /// One session.
    private void serve() throws InterruptedException {
        var frames = new Frames(in, out);
        try {
            while (true) {
                serve(frames, frames.receive());
            }
        } catch (IOException e) {
            System.out.println("agent: session ended: " + e);
        } finally {
            for (AgentProcess process : processes.values()) {
                process.kill();
            }
            processes.clear();
        }
    }

    private void serve(Frames frames, Frames.Frame frame) throws IOException, InterruptedException {
        int stream = frame.stream();
        AgentProcess process = processes.get(stream);
        switch (frame.type()) {
            case Message.HELLO -> frames.send(Message.HELLO, stream, frame.payload());
            case Message.PING -> frames.send(Message.PONG, stream, frame.payload());
            case Message.START -> start(frames, stream, Message.Start.decode(frame.payload()));
            case Message.INPUT -> {
                if (process != null) {
                    process.input(frame.payload());
                }
            }
            case Message.INPUT_END -> {
                if (process != null) {
                    process.endInput();
                }
            }
            case Message.KILL -> {
                if (process != null) {
                    process.kill();
                }
            }
            default -> throw new IOException("frame of type " + frame.type());
        }
    }

    private void start(Frames frames, int stream, Message.Start start) throws IOException {
        try {
            AgentProcess process = prestarted;
            if (process != null && process.command().equals(start.command())) {
                prestarted = null;
            } else {
                process = AgentProcess.start(start);
            }
            processes.put(stream, process);
            process.attach(frames, stream, () -> processes.remove(stream));
        } catch (IOException e) {
            frames.send(Message.FAILED, stream, String.valueOf(e.getMessage()));
        }
    }

    /// A virtio serial port reads as ended while no host is connected. That ends a session which
    /// has begun; before, it only means to wait.
    private static final class PortInput extends InputStream {
        private static final int POLL_MILLIS = 5;

        private final InputStream port;
        private boolean inSession;

        PortInput(InputStream port) {
            this.port = port;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            while (true) {
                int count = port.read(bytes, offset, length);
                if (count > 0) {
                    inSession = true;
                    return count;
                }
                if (inSession) {
                    inSession = false;
                    return -1;
                }
                try {
                    Thread.sleep(POLL_MILLIS);
                } catch (InterruptedException e) {
                    throw new IOException(e);
                }
            }
        }
    }
}
