package org.kaval.testing.worker;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectUniqueId;

import java.io.EOFException;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import org.junit.platform.engine.TestEngine;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.core.LauncherConfig;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.kaval.nested.guest.Frames;

/// Runs tests in the nested host: a process of its own, which may crash as tests may.
///
/// Requests come on standard input. Events go to the stream that the process has as descriptor 3;
/// what tests print through {@link System} goes there too, so that it keeps its place among the
/// events, and what else the process prints is its error output. Before the first request it runs
/// {@link WarmUp}, and then writes one byte: a worker in a saved state has JUnit loaded.
public final class Worker {
    /// The unique ids of Jupiter's tests begin so.
    public static final String ROOT = "[engine:junit-jupiter]";

    /// The byte that says that it is ready; no frame begins with it.
    public static final int READY = 'R';

    private static final String EVENTS = "/proc/self/fd/3";

    private final Frames frames;
    private final Map<String, String> parameters = new HashMap<>();
    private ClassLoader loader = Worker.class.getClassLoader();

    private Worker(Frames frames) {
        this.frames = frames;
    }

    /// @param args none
    public static void main(String[] args) throws IOException {
        InputStream in = System.in;
        OutputStream events = new FileOutputStream(EVENTS);
        PrintStream out = System.out;
        PrintStream err = System.err;
        var silent = new Frames(in, OutputStream.nullOutputStream());
        new Worker(silent).run(List.of(ROOT + "/[class:" + WarmUp.class.getName() + "]"));
        System.setOut(out);
        System.setErr(err);
        events.write(READY);
        events.flush();
        try {
            new Worker(new Frames(in, events)).serve();
        } catch (EOFException e) {
            System.exit(0); // no more requests; threads that tests have left do not count
        }
    }

    private void serve() throws IOException {
        while (true) {
            Frames.Frame frame = frames.receive();
            List<String> strings = WorkerMessage.decode(frame.payload());
            switch (frame.type()) {
                case WorkerMessage.CLASS_PATH -> load(strings);
                case WorkerMessage.PROPERTIES -> pairs(strings).forEach(System::setProperty);
                case WorkerMessage.PARAMETERS -> parameters.putAll(pairs(strings));
                case WorkerMessage.RUN -> run(strings);
                default -> throw new IOException("frame of type " + frame.type());
            }
        }
    }

    private void load(List<String> classPath) throws IOException {
        var urls = new URL[classPath.size()];
        for (int i = 0; i < urls.length; i++) {
            urls[i] = Path.of(classPath.get(i)).toUri().toURL();
        }
        loader = new URLClassLoader("tests", urls, Worker.class.getClassLoader());
    }

    private static Map<String, String> pairs(List<String> strings) {
        var pairs = new HashMap<String, String>();
        for (int i = 0; i < strings.size(); i += 2) {
            pairs.put(strings.get(i), strings.get(i + 1));
        }
        return pairs;
    }

    private void run(List<String> ids) throws IOException {
        Thread.currentThread().setContextClassLoader(loader);
        System.setOut(new PrintStream(new Output(WorkerMessage.OUT), true));
        System.setErr(new PrintStream(new Output(WorkerMessage.ERR), true));
        Launcher launcher =
                LauncherFactory.create(
                        LauncherConfig.builder()
                                .enableTestEngineAutoRegistration(false)
                                .enablePostDiscoveryFilterAutoRegistration(false)
                                .enableTestExecutionListenerAutoRegistration(false)
                                .enableLauncherSessionListenerAutoRegistration(false)
                                .enableLauncherDiscoveryListenerAutoRegistration(false)
                                .addTestEngines(jupiter())
                                .build());
        var request = LauncherDiscoveryRequestBuilder.request().configurationParameters(parameters);
        for (String id : ids) {
            request.selectors(selectUniqueId(id));
        }
        launcher.execute(request.build(), new EventSender(frames));
        frames.send(WorkerMessage.DONE, 0, new byte[0]);
    }

    /// JUnit's own engine; its class is not exported.
    public static TestEngine jupiter() {
        return ServiceLoader.load(TestEngine.class, Worker.class.getClassLoader()).stream()
                .map(ServiceLoader.Provider::get)
                .filter(engine -> engine.getId().equals("junit-jupiter"))
                .findFirst()
                .orElseThrow();
    }

    /// What tests print, as frames.
    private final class Output extends OutputStream {
        private final int type;

        Output(int type) {
            this.type = type;
        }

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            for (int done = 0; done < length; done += Frames.MAX_PAYLOAD) {
                int size = Math.min(Frames.MAX_PAYLOAD, length - done);
                frames.send(type, 0, bytes, offset + done, size);
            }
        }
    }
}
