package harness;

import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.state.KeyGroupsStateHandle;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.flink.runtime.state.StreamStateHandle;

import java.io.DataInputStream;
import java.io.File;
import java.io.FileInputStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A `_metadata` as Flink's own classes load it, in the words of `chkctl inspect --json`. */
final class Metadata {
    private Metadata() {}

    static Map<String, Object> load(String directory) throws Exception {
        try (DataInputStream in = new DataInputStream(new FileInputStream(new File(directory, "_metadata")))) {
            CheckpointMetadata metadata = Checkpoints.loadCheckpointMetadata(in, Metadata.class.getClassLoader(), directory);
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("checkpoint_id", metadata.getCheckpointId());
            answer.put("properties", Map.of("checkpointType", Map.of("name",
                    metadata.getCheckpointProperties().getCheckpointType().getName())));
            answer.put("operators", metadata.getOperatorStates().stream().map(Metadata::operator).toList());
            return answer;
        }
    }

    private static Map<String, Object> operator(OperatorState operator) {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("operator_id", operator.getOperatorID().toHexString());
        answer.put("parallelism", operator.getParallelism());
        answer.put("max_parallelism", operator.getMaxParallelism());
        answer.put("state_size", operator.getStateSize());
        List<Object> subtasks = new ArrayList<>();
        new TreeMap<>(operator.getSubtaskStates()).forEach((index, state) -> subtasks.add(subtask(index, state)));
        answer.put("subtasks", subtasks);
        return answer;
    }

    private static Map<String, Object> subtask(int index, OperatorSubtaskState state) {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("index", index);
        answer.put("state_size", state.getStateSize());
        answer.put("managed_operator_state", state.getManagedOperatorState().stream().map(Metadata::lists).toList());
        answer.put("managed_keyed_state", state.getManagedKeyedState().stream().map(Metadata::keyed).toList());
        return answer;
    }

    private static Map<String, Object> lists(OperatorStateHandle handle) {
        Map<String, Object> states = new TreeMap<>();
        handle.getStateNameToPartitionOffsets().forEach((name, info) -> states.put(name, Map.of(
                "mode", info.getDistributionMode().name(), "offsets", info.getOffsets())));
        return Map.of("class", handle.getClass().getSimpleName(), "states", states, "stream",
                stream(handle.getDelegateStateHandle()));
    }

    private static Map<String, Object> keyed(KeyedStateHandle handle) {
        KeyGroupsStateHandle groups = (KeyGroupsStateHandle) handle;
        List<Long> offsets = new ArrayList<>();
        groups.getKeyGroupRange().forEach(group -> offsets.add(groups.getOffsetForKeyGroup(group)));
        return Map.of("class", handle.getClass().getSimpleName(), "key_group_range",
                List.of(groups.getKeyGroupRange().getStartKeyGroup(), groups.getKeyGroupRange().getEndKeyGroup()),
                "key_group_offsets", offsets, "stream", stream(groups.getDelegateStateHandle()));
    }

    private static Map<String, Object> stream(StreamStateHandle handle) {
        return Map.of("class", handle.getClass().getSimpleName(), "size", handle.getStateSize());
    }
}
