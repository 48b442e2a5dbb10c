package org.kaval.ci;

import com.github.dockerjava.api.DockerClient;
import com.github.dockerjava.api.exception.ConflictException;
import com.github.dockerjava.api.exception.NotFoundException;
import com.github.dockerjava.api.model.Device;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import org.kaval.ci.Processes.Result;
import org.kaval.kvm.Kvm;
import org.testcontainers.DockerClientFactory;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.utility.DockerImageName;
import org.testcontainers.utility.MountableFile;

/// Containers of a clean Debian without a network, with the packaged image's archive in them.
///
/// The Docker image and its containers are removed by {@link #close}, or when the JVM ends. Those
/// of a JVM that was killed end by themselves, and are removed by the next.
final class DebianContainers implements AutoCloseable {
    /// Where the packaged image's archive is.
    static final String ARCHIVE = "/kaval.tar.gz";

    private static final String NAME = "kaval-newcomer";

    /// Longer than the tests take; a container ends after it.
    private static final Duration LIFE = Duration.ofMinutes(15);

    private static final int READABLE = 0644;

    private final DockerClient docker = DockerClientFactory.instance().client();
    private final String image = NAME + ":" + UUID.randomUUID();
    private final List<GenericContainer<?>> containers = new ArrayList<>(); // guarded by this

    DebianContainers() throws IOException, InterruptedException {
        removeStale();
        Runtime.getRuntime().addShutdownHook(new Thread(this::close, "remove-containers"));
        importImage(DebianArchive.get());
    }

    /// By the `docker` program: docker-java's own command sends the engine no archive (its issue
    /// 2377).
    private void importImage(Path archive) throws IOException, InterruptedException {
        String engine =
                DockerClientFactory.instance().getTransportConfig().getDockerHost().toString();
        Result result =
                Processes.run("docker", "--host", engine, "import", archive.toString(), image);
        if (result.status() != 0) {
            throw new AssertionError("docker import: " + result.err());
        }
    }

    /// Starts a container whose only device of the host is `/dev/kvm`.
    GenericContainer<?> startWithKvm() throws IOException {
        var kvm = new Device("rw", Kvm.DEVICE.toString(), Kvm.DEVICE.toString());
        return start(
                container()
                        .withCreateContainerCmdModifier(command ->
                                Objects.requireNonNull(command.getHostConfig()).withDevices(kvm)));
    }

    /// Starts a container without a device of the host.
    GenericContainer<?> startWithoutKvm() throws IOException {
        return start(container());
    }

    /// Removes the containers and their image; a second time does nothing.
    @Override
    public synchronized void close() {
        containers.forEach(GenericContainer::stop);
        containers.clear();
        removeImage(image);
    }

    private GenericContainer<?> container() throws IOException {
        return new GenericContainer<>(DockerImageName.parse(image))
                .withImagePullPolicy(_ -> false)
                .withNetworkMode("none")
                .withLabel(NAME, "")
                .withCommand("sleep", Long.toString(LIFE.toSeconds()))
                .withCopyFileToContainer(
                        MountableFile.forHostPath(Image.archive(), READABLE), ARCHIVE);
    }

    private synchronized GenericContainer<?> start(GenericContainer<?> container) {
        containers.add(container); // first, so that one which fails to start is removed, too
        container.start();
        return container;
    }

    private void removeStale() {
        long limit = Instant.now().minus(LIFE).getEpochSecond();
        docker.listContainersCmd().withShowAll(true).withLabelFilter(List.of(NAME)).exec().stream()
                .filter(container -> container.getCreated() < limit)
                .forEach(container -> removeContainer(container.getId()));
        docker.listImagesCmd().withReferenceFilter(NAME).exec().stream()
                .filter(stale -> stale.getCreated() < limit)
                .forEach(stale -> removeImage(stale.getId()));
    }

    private void removeContainer(String id) {
        remove(docker.removeContainerCmd(id).withForce(true)::exec);
    }

    private void removeImage(String name) {
        remove(docker.removeImageCmd(name).withForce(true)::exec);
    }

    private static void remove(Runnable removal) {
        try {
            removal.run();
        } catch (NotFoundException | ConflictException _) {
            // it has been removed before, or another process removes or uses it
        }
    }
}
