package harness;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServer;

import java.io.File;
import java.net.InetSocketAddress;

/** The one ZooKeeper of a cluster that is configured for high availability: Flink's own copy of it, on loopback. */
final class Quorum {
    private Quorum() {}

    /** Starts it where high-availability.type is zookeeper and no quorum is named, and gives it to the cluster. */
    static void startFor(Configuration conf, File work) throws Exception {
        String quorum = "high-availability.zookeeper.quorum";
        if (!conf.toMap().getOrDefault("high-availability.type", "").equals("zookeeper") || conf.toMap().containsKey(quorum)) {
            return;
        }
        File data = new File(work, "zookeeper");
        ZooKeeperServer server = new ZooKeeperServer(data, data, 2000);
        ServerCnxnFactory clients = ServerCnxnFactory.createFactory(new InetSocketAddress("127.0.0.1", 0), 100);
        clients.startup(server);
        conf.setString(quorum, "127.0.0.1:" + clients.getLocalPort());
    }
}
