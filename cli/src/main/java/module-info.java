/// The command `kaval`.
module org.kaval.cli {
    requires com.fasterxml.jackson.jr.ob;
    requires info.picocli;
    requires org.eclipse.jetty.server;
    requires org.eclipse.jetty.unixdomain.server;
    requires org.slf4j.nop; // what Jetty would log, the API answers
    requires jdk.unsupported; // signals, by reflection
    requires org.kaval.machine;
    requires org.kaval.nested; // the Linux of the demo
    requires org.snakeyaml.engine; // kaval run -f
    requires static org.jspecify;

    opens org.kaval.cli to
            info.picocli;

    provides System.LoggerFinder with
            org.kaval.cli.StderrLoggerFinder;
}
