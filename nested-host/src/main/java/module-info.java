/// Guests for tests and the demo, built by code from Debian packages, without root.
module org.kaval.nested {
    requires org.apache.commons.compress;
    requires org.tukaani.xz;
    requires static transitive org.jspecify;

    exports org.kaval.guests;
}
