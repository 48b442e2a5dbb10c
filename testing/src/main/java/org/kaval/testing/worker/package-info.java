/// What runs in the nested host: {@link org.kaval.testing.worker.Worker} runs tests for the engine.
@NullMarked
package org.kaval.testing.worker;

import org.jspecify.annotations.NullMarked;
