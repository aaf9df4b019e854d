import com.fasterxml.jackson.databind.*;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Receive one type of event with org.apache.kafka:kafka-clients and com.fasterxml.jackson.core:jackson-databind. */
public class Subscriber {
    static final String TYPE = "org.councilbackbone.servicerequests.status-changed.v1";
    static final Map<String, String> ENV = System.getenv();
    static final Set<String> handled = new LinkedHashSet<>(); // the last ids; better: a table, in the work's transaction
    static volatile boolean stopping;

    static void handle(String id, JsonNode data) { // your work; when it throws, the program ends before it commits
        System.out.println(id + " " + data.get("case_ref").textValue());
    }
    public static void main(String[] args) throws Exception {
        var main = Thread.currentThread(); // SIGTERM runs the hook: it waits until what is in hand is done
        var hook = new Thread(() -> { stopping = true; try { main.join(); } catch (InterruptedException ended) { } });
        Runtime.getRuntime().addShutdownHook(hook);
        var json = new ObjectMapper();
        Map<String, Object> settings = Map.of("isolation.level", "read_committed", "enable.auto.commit", false,
            "auto.offset.reset", "earliest", "group.id", ENV.getOrDefault("BACKBONE_GROUP", "your-service"),
            "bootstrap.servers", ENV.getOrDefault("BACKBONE_BOOTSTRAP_SERVERS", "127.0.0.1:9092"));
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(ENV.getOrDefault("BACKBONE_TOPIC", "E09000099.servicerequests.v1")));
            while (!stopping) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    var headers = new HashMap<String, String>();
                    for (var header : record.headers()) headers.put(header.key(), new String(header.value(), "UTF-8"));
                    if (!TYPE.equals(headers.get("ce_type")) || !handled.add(headers.get("ce_id"))) continue;
                    handle(headers.get("ce_id"), json.readTree(record.value()));
                    if (handled.size() > 100_000) handled.remove(handled.iterator().next());
                }
                consumer.commitSync();
            }
        }
    }
}
