import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.TreeSet;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Agreement with Apache Kafka itself: its own classes read and write what our schema says.
 *
 * <pre>
 * cargo run -p esker-wire --example corpus | \
 *   java -cp kafka-clients-4.4.0.jar:slf4j-api.jar crates/wire/tests/java/Agreement.java
 * </pre>
 */
public class Agreement {
    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in));
        var seen = new TreeSet<String>();
        int compared = 0;
        int differing = 0;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", 3);
            short version = Short.parseShort(words[1]);
            byte[] ours = HexFormat.of().parseHex(words[2]);
            String verdict = compare(words[0], version, ours);
            compared++;
            seen.add(words[0] + " " + version);
            if (verdict != null) {
                differing++;
                System.out.println(words[0] + " " + version + ": " + verdict);
            }
        }
        System.out.printf("%d messages of %d kinds and versions compared, %d differ%n",
            compared, seen.size(), differing);
        System.exit(differing == 0 && compared > 0 ? 0 : 1);
    }

    /** What differs, null if nothing does. */
    private static String compare(String name, short version, byte[] ours) throws Exception {
        String type = name.endsWith("Request") || name.endsWith("Response") ? name + "Data" : name;
        var constructor = Class.forName("org.apache.kafka.common.message." + type).getConstructor();
        var message = (ApiMessage) constructor.newInstance();
        try {
            var input = ByteBuffer.wrap(ours);
            message.read(new ByteBufferAccessor(input), version);
            if (input.hasRemaining()) {
                return input.remaining() + " bytes left";
            }
            if (version > message.highestSupportedVersion() || version < message.lowestSupportedVersion()) {
                return "no such version";
            }
            var cache = new ObjectSerializationCache();
            var output = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(output), cache, version);
            boolean same = Arrays.equals(output.array(), ours);
            return same ? null : "wrote " + HexFormat.of().formatHex(output.array());
        } catch (RuntimeException error) {
            return error.toString();
        }
    }
}
