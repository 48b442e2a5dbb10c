package org.kaval.cli;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.kaval.cli.control.ControlClient;
import org.kaval.cli.control.VmFolder;
import org.kaval.cli.control.VmRecord;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `kaval inspect`: all that is known of a named machine.
@Command(name = "inspect", description = "Shows what a named machine is, in JSON.")
final class InspectCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(paramLabel = "NAME", description = "The machine.")
    String name = "";

    @Option(names = "--diagnosis", description = "Say what the guest is at, in lines.")
    boolean diagnosis;

    @Override
    public Integer call() throws IOException, InterruptedException {
        PrintWriter out = spec.commandLine().getOut();
        VmFolder folder = VmFolder.existing(name);
        VmRecord record = folder.read().orElseThrow();
        if (diagnosis) {
            ControlClient.of(name).get("/v1/vm/diagnosis").texts("lines").forEach(out::println);
        } else if (folder.isAlive() && record.running()) {
            print(out, ControlClient.of(name).get("/v1/vm").values());
        } else {
            print(out, written(record, folder.isAlive()));
        }
        out.flush();
        return ExitStatus.OK;
    }

    private Map<String, Object> written(VmRecord record, boolean alive) {
        var facts = new LinkedHashMap<String, Object>();
        facts.put("name", name);
        facts.put("state", record.state(alive));
        facts.put("started", record.started().toString());
        if (record.ended() != null) {
            facts.put("ended", record.ended().toString());
            facts.put("outcome", record.outcome());
            facts.put("status", record.status());
        }
        facts.put("command", record.command());
        return facts;
    }

    private static void print(PrintWriter out, Map<String, ?> facts) throws IOException {
        out.println(JSON.std.with(JSON.Feature.PRETTY_PRINT_OUTPUT).asString(facts));
    }
}
