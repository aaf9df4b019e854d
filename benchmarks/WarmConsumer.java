import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Read a topic several times in one JVM, and print the records a CPU-second of each: ADDRESS TOPIC RECORDS PASSES. */
public class WarmConsumer {
    static final String TYPE = "org.councilbackbone.servicerequests.status-changed.v1";
    static final ObjectReader READER = new ObjectMapper().readerFor(StatusChanged.class);

    @JsonIgnoreProperties(ignoreUnknown = true)
    record StatusChanged(
        String case_ref, String organisation, String occurred_at, String logged_at, String state, String service_code,
        String service_name, String description, String public_update, Integer lgsl) {}

    public static void main(String[] args) throws Exception {
        var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        int records = Integer.parseInt(args[2]);
        for (int pass = 0; pass < Integer.parseInt(args[3]); pass++) {
            long began = system.getProcessCpuTime();
            if (read(args[0], args[1], records) != records) throw new IllegalStateException("events are missing");
            System.out.println(records / ((system.getProcessCpuTime() - began) / 1e9));
        }
    }

    static int read(String servers, String topic, int records) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", servers, "group.id", UUID.randomUUID().toString(),
            "isolation.level", "read_committed", "enable.auto.commit", false, "auto.offset.reset", "earliest",
            "max.poll.records", 2000, "max.partition.fetch.bytes", 2_097_152);
        int seen = 0;
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (seen < records) {
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    var type = new String(record.headers().lastHeader("ce_type").value(), StandardCharsets.UTF_8);
                    StatusChanged event = READER.readValue(record.value());
                    if (type.equals(TYPE) && event.state().equals("open")) seen++;
                }
                consumer.commitSync();
            }
        }
        return seen;
    }
}
