package org.kaval.devices.block;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.IoVector;

/// An image that is another one but for what a subclass does otherwise.
abstract class ForwardingImage implements BlockImage {
    final BlockImage image;

    ForwardingImage(BlockImage image) {
        this.image = image;
    }

    @Override
    public String name() {
        return image.name();
    }

    @Override
    public long size() {
        return image.size();
    }

    @Override
    public boolean readOnly() {
        return image.readOnly();
    }

    @Override
    public void read(long offset, IoVector into, long from, long length) throws IOException {
        image.read(offset, into, from, length);
    }

    @Override
    public boolean tryRead(long offset, IoVector into, long from, long length) throws IOException {
        return image.tryRead(offset, into, from, length);
    }

    @Override
    public @Nullable RingAccess rings() {
        return image.rings();
    }

    @Override
    public void write(long offset, IoVector source, long from, long length) throws IOException {
        image.write(offset, source, from, length);
    }

    @Override
    public void flush() throws IOException {
        image.flush();
    }

    @Override
    public void discard(long offset, long length) throws IOException {
        image.discard(offset, length);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws IOException {
        image.writeZeroes(offset, length, mayUnmap);
    }

    @Override
    public void resize(long bytes) throws IOException {
        image.resize(bytes);
    }

    @Override
    public Extent extent(long offset, long limit) throws IOException {
        return image.extent(offset, limit);
    }

    @Override
    public void close() throws IOException {
        image.close();
    }
}
