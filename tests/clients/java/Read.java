import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Without Confluent's libraries, which are not on Maven Central: with them, KafkaAvroDeserializer does this. */
class Read {
  static final HttpClient HTTP = HttpClient.newHttpClient();
  static final Map<Integer, Schema> SCHEMAS = new HashMap<>();

  public static void main(String[] args) throws IOException, InterruptedException {
    Map<String, Object> settings = Map.of("bootstrap.servers", env("KAFKA", "127.0.0.1:9092"),
        "group.id", "my-java-consumer", "auto.offset.reset", "earliest");
    var bytes = new ByteArrayDeserializer();
    try (var consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
      consumer.subscribe(List.of("tapcart.events"));
      while (true) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          byte[] value = record.value();
          if (value == null || value.length == 0 || value[0] != 0) {
            continue;
          }
          Schema schema = schema(ByteBuffer.wrap(value, 1, 4).getInt());
          var decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null);
          System.out.println(new GenericDatumReader<Object>(schema).read(null, decoder));
        }
      }
    }
  }

  static Schema schema(int id) throws IOException, InterruptedException {
    if (!SCHEMAS.containsKey(id)) {
      String registry = env("REGISTRY", "http://127.0.0.1:8083/registry");
      var request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).build();
      var answer = new ObjectMapper().readTree(HTTP.send(request, BodyHandlers.ofString()).body()); // of Avro's Jackson
      SCHEMAS.put(id, new Schema.Parser().parse(answer.get("schema").asText()));
    }
    return SCHEMAS.get(id);
  }

  static String env(String name, String otherwise) {
    return System.getenv().getOrDefault(name, otherwise);
  }
}
