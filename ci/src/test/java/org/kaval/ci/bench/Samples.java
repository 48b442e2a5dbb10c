package org.kaval.ci.bench;

import java.util.ArrayList;
import java.util.List;

/// Measurements of the same thing; the median stands for them, as these machines are noisy.
final class Samples {
    private final List<Double> values = new ArrayList<>();

    void add(double value) {
        values.add(value);
    }

    double median() {
        return quantile(0.5);
    }

    double quantile(double q) {
        List<Double> sorted = values.stream().sorted().toList();
        return sorted.get((int) Math.round(q * (sorted.size() - 1)));
    }
}
