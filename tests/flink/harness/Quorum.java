package harness;

import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.Path;
import org.apache.flink.kubernetes.highavailability.KubernetesCheckpointStoreUtil;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.state.RetrievableStateHandle;
import org.apache.flink.runtime.state.RetrievableStreamStateHandle;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServer;
import org.apache.flink.util.InstantiationUtil;

import java.io.File;
import java.lang.reflect.Constructor;
import java.net.InetSocketAddress;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/** The one ZooKeeper of a cluster that is configured for high availability: Flink's own copy of it, on loopback. */
final class Quorum {
    private Quorum() {}

    /**
     * What Kubernetes would have in the ConfigMap of a job whose completed checkpoints lie in a directory: keys and values as
     * Flink's own classes make them.
     */
    static Map<String, Object> configMap(JobID job, File dir) throws Exception {
        Class<?> marker = Class.forName(
                "org.apache.flink.kubernetes.highavailability.KubernetesStateHandleStore$StateHandleWithDeleteMarker");
        Constructor<?> constructor = marker.getDeclaredConstructor(RetrievableStateHandle.class);
        constructor.setAccessible(true);
        Map<String, String> data = new TreeMap<>();
        for (File file : dir.listFiles((parent, name) -> name.startsWith("completedCheckpoint"))) {
            var handle = new RetrievableStreamStateHandle<CompletedCheckpoint>(new Path(file.toURI()), file.length());
            CompletedCheckpoint checkpoint = handle.retrieveState();
            byte[] value = InstantiationUtil.serializeObject(constructor.newInstance(handle));
            String key = KubernetesCheckpointStoreUtil.INSTANCE.checkpointIDToName(checkpoint.getCheckpointID());
            data.put(key, Base64.getEncoder().encodeToString(value));
        }
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("apiVersion", "v1");
        map.put("data", data);
        map.put("kind", "ConfigMap");
        map.put("metadata", Map.of("name", "one-" + job + "-config-map", "labels", Map.of("app", "one")));
        return map;
    }

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
