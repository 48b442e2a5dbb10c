/// The command `kaval`.
module org.kaval.cli {
    requires com.fasterxml.jackson.jr.ob;
    requires info.picocli;
    requires org.kaval.machine;
    requires static org.jspecify;

    opens org.kaval.cli to
            info.picocli;

    provides System.LoggerFinder with
            org.kaval.cli.StderrLoggerFinder;
}
