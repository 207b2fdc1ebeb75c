import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.FileInputStream;
import java.io.IOException;

/**
 * LoadMetadata DIRECTORY RUNS: loads DIRECTORY/_metadata with Flink's own classes, RUNS times in this JVM.
 *
 * <p>Prints the size of all state in it, then the milliseconds that each run took, a line each. Compile and run it with
 * the jars of a Flink release (1.11 or later) on the class path.
 */
public final class LoadMetadata {
    private LoadMetadata() {}

    public static void main(String[] args) throws IOException {
        String directory = args[0];
        int runs = Integer.parseInt(args[1]);
        StringBuilder times = new StringBuilder();
        CheckpointMetadata metadata = null;
        for (int i = 0; i < runs; i++) {
            // Not kept over a run: a job that restores has one of them.
            metadata = null;
            long start = System.nanoTime();
            metadata = load(directory);
            times.append((System.nanoTime() - start) / 1e6).append('\n');
        }
        System.out.println(stateSize(metadata));
        System.out.print(times);
    }

    /** Reads through a buffer, so that decoding is what is measured. */
    private static CheckpointMetadata load(String directory) throws IOException {
        FileInputStream file = new FileInputStream(directory + "/_metadata");
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(file, 1 << 16))) {
            return Checkpoints.loadCheckpointMetadata(in, LoadMetadata.class.getClassLoader(), directory);
        }
    }

    private static long stateSize(CheckpointMetadata metadata) {
        return metadata == null ? 0 : metadata.getOperatorStates().stream().mapToLong(OperatorState::getStateSize).sum();
    }
}
