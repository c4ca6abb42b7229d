import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.storage.internals.log.LogConfig;

/**
 * The settings that Apache Kafka documents, as its own ConfigDefs tell them.
 *
 * <pre>
 * java -cp 'libs/*' crates/settings/tests/java/DumpSettings.java 4.4.0 crates/settings/testdata/kafka-4.3.1.tsv \
 *   > crates/settings/testdata/kafka-4.4.0.tsv
 * </pre>
 *
 * The second word is an earlier dump: its candidate values are tried again.
 */
public class DumpSettings {
    public static void main(String[] words) throws Exception {
        String candidates = Files.readAllLines(Path.of(words[1])).stream()
            .filter(line -> line.startsWith("candidates\t")).findFirst().orElseThrow();
        List<String> values = new ArrayList<>();
        for (String quoted : candidates.substring("candidates\t".length()).split("\t")) {
            values.add(quoted.substring(1, quoted.length() - 1));
        }
        System.out.println("# Settings of Apache Kafka " + words[0] + " as its ConfigDefs tell them: scope, name, type,"
            + " default (~null~, ~required~), update mode,");
        System.out.println("# synonyms of a topic setting (name/factor), and which of the candidate values below it"
            + " takes (1) or refuses (0).");
        System.out.println(candidates);
        Class<?> config = Class.forName("kafka.server.KafkaConfig");
        dump("broker", (ConfigDef) config.getMethod("configDef").invoke(null), values);
        dump("topic", LogConfig.configDefCopy(), values);
        dump("group", GroupConfig.CONFIG_DEF, values);
    }

    private static void dump(String scope, ConfigDef table, List<String> values) throws Exception {
        for (var key : new TreeMap<>(table.configKeys()).values()) {
            if (key.internalConfig) {
                continue;
            }
            String defaultValue = !key.hasDefault() ? "~required~"
                : key.defaultValue == null ? "~null~" : ConfigDef.convertToString(key.defaultValue, key.type);
            System.out.println(String.join("\t", scope, key.name, key.type.name(), defaultValue,
                scope.equals("broker") ? updateMode(key.name) : "",
                scope.equals("topic") ? synonyms(key.name) : "", verdicts(key, values)));
        }
    }

    private static String updateMode(String name) {
        return DynamicBrokerConfig.dynamicConfigUpdateModes().getOrDefault(name, "read-only");
    }

    private static String synonyms(String name) {
        var all = ServerTopicConfigSynonyms.ALL_TOPIC_CONFIG_SYNONYMS.getOrDefault(name, List.of());
        return all.stream().map(one -> one.name() + "/" + one.converter().apply("1")).collect(Collectors.joining(","));
    }

    private static String verdicts(ConfigDef.ConfigKey key, List<String> values) {
        var verdicts = new StringBuilder();
        for (String value : values) {
            boolean legal;
            try {
                Object parsed = ConfigDef.parseType(key.name, value, key.type);
                if (key.validator != null) {
                    key.validator.ensureValid(key.name, parsed);
                }
                legal = true;
            } catch (RuntimeException refused) {
                legal = false;
            }
            verdicts.append(legal ? '1' : '0');
        }
        return verdicts.toString();
    }
}
