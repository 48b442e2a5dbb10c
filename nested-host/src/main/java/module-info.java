/// Guests, and hosts for guests, built by code from Debian packages, without root: for tests and
/// the demo.
module org.kaval.nested {
    requires com.fasterxml.jackson.jr.ob;
    requires info.picocli;
    requires org.tukaani.xz;
    requires static transitive org.jspecify;

    exports org.kaval.guests;
    exports org.kaval.nested;
    exports org.kaval.nested.guest;

    opens org.kaval.nested to
            info.picocli;
}
