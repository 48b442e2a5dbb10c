package org.kaval.cli;

import java.util.ArrayList;
import java.util.List;
import org.kaval.machine.ConfigException;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/// The network devices of `kaval run`.
final class NetOptions {
    static final String NAME = "--net";

    private final OptionSpec networks =
            OptionSpec.builder(NAME)
                    .paramLabel("KIND[,KEY=VALUE]...")
                    .type(List.class)
                    .auxiliaryTypes(String.class)
                    .initialValue(List.of())
                    .description(
                            "A network device; several times for several. Its other end is: user (a network of"
                                    + " its own, by passt, without privileges), tap=NAME (a tap device),"
                                    + " bridge=NAME (a new one on a bridge), or socket=PATH (whoever else names"
                                    + " that Unix socket). Behind it: mac=ADDRESS, mtu=N, queues=N (tap and"
                                    + " bridge), rate=SIZE and frames=N a second in either direction,"
                                    + " burst=SECONDS of these at once, pcap=FILE, vhost=on|off|auto (tap and"
                                    + " bridge: whether the host's kernel moves frames; auto by default, if it"
                                    + " can).")
                    .build();

    private final OptionSpec published =
            OptionSpec.builder("--publish")
                    .paramLabel("[ADDRESS:]PORT:GUESTPORT[/udp]")
                    .type(List.class)
                    .auxiliaryTypes(String.class)
                    .initialValue(List.of())
                    .description(
                            "Lead a port of the host to one of the guest's, with --net user, which this"
                                    + " implies; several times for several.")
                    .build();

    private GuestNetworks guests = new GuestNetworks(List.of(), List.of()); // as parsed last

    /// To be mixed into a command.
    CommandSpec mixin() {
        return CommandSpec.create().addOption(networks).addOption(published);
    }

    /// What they say.
    GuestNetworks parse() {
        List<String> values = networks.getValue();
        List<PublishedPort> ports =
                published.<List<String>>getValue().stream().map(PublishedPort::parse).toList();
        if (values.isEmpty() && !ports.isEmpty()) {
            values = List.of("user");
        }
        var all = new ArrayList<NetSpec>();
        for (String value : values) {
            all.add(NetSpec.parse(value, all.size()));
        }
        long users = all.stream().filter(each -> each.kind() == NetSpec.Kind.USER).count();
        if (!ports.isEmpty() && users != 1) {
            throw new ConfigException("publish", "goes with one --net user");
        }
        guests = new GuestNetworks(List.copyOf(all), ports);
        return guests;
    }

    /// What was parsed last.
    GuestNetworks networks() {
        return guests;
    }

    /// The same arguments with the addresses that were drawn: a guest that is restored has them
    /// still.
    ///
    /// @param arguments as {@link SavedArguments} has them, of the command line that was parsed
    List<String> withAddresses(List<String> arguments) {
        var changed = new ArrayList<String>();
        List<NetSpec> specs = guests.specs();
        int next = 0;
        for (String argument : arguments) {
            boolean isNetwork = argument.startsWith(NAME + "=");
            changed.add(isNetwork ? specs.get(next++).withAddress(argument) : argument);
        }
        for (NetSpec implied : specs.subList(next, specs.size())) {
            changed.add(implied.withAddress(NAME + "=user"));
        }
        return List.copyOf(changed);
    }
}
