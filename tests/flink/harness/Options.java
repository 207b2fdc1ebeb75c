package harness;

import java.io.Serializable;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;

/** The KEY=VALUE words of a command; what they mean is at the head of flink.sh. */
final class Options implements Serializable {
    private static final Set<String> KNOWN = Set.of("allowNonRestored", "ck", "claim", "collect", "delay", "dir", "from",
            "hold", "inline", "keys", "line", "maxpar", "n", "par", "pause", "rate", "restores", "rounds", "runs", "savepoint", "sliding", "sources",
            "slow", "timeout", "vocab");

    final TreeMap<String, String> values = new TreeMap<>();

    static Options parse(List<String> words) {
        Options options = new Options();
        for (String word : words) {
            int equals = word.indexOf('=');
            String key = equals < 0 ? word : word.substring(0, equals);
            if (equals < 0 || !(KNOWN.contains(key) || key.startsWith("conf.") || key.startsWith("uid."))) {
                throw new IllegalArgumentException("what is " + word + "? see flink.sh");
            }
            options.values.put(key, word.substring(equals + 1));
        }
        return options;
    }

    /** These options and one more. */
    Options with(String key, Object value) {
        Options more = new Options();
        more.values.putAll(values);
        more.values.put(key, String.valueOf(value));
        return more;
    }

    /** These options but for one. */
    Options without(String key) {
        Options fewer = new Options();
        fewer.values.putAll(values);
        fewer.values.remove(key);
        return fewer;
    }

    String text(String key, String otherwise) {
        return values.getOrDefault(key, otherwise);
    }

    long number(String key, long otherwise) {
        return Long.parseLong(text(key, String.valueOf(otherwise)));
    }

    int count(String key, int otherwise) {
        return Math.toIntExact(number(key, otherwise));
    }

    boolean flag(String key, boolean otherwise) {
        return Boolean.parseBoolean(text(key, String.valueOf(otherwise)));
    }

    /** The uid of an operator, which uid.NAME=UID replaces. */
    String uid(String name) {
        return text("uid." + name, name);
    }

    long n() {
        return number("n", 1000);
    }

    int vocab() {
        return count("vocab", 100);
    }

    int parallelism() {
        return count("par", 2);
    }

    int sources() {
        return count("sources", parallelism());
    }
}
