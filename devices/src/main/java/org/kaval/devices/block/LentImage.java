package org.kaval.devices.block;

import java.io.IOException;

/// An image that somebody else closes: to close it here puts on the disk what has been written.
final class LentImage extends ForwardingImage {
    LentImage(BlockImage image) {
        super(image);
    }

    @Override
    public void close() throws IOException {
        if (!image.readOnly()) {
            image.flush();
        }
    }
}
