import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.Callable;

/** clickhouse-jdbc, which Metabase, DBeaver and DataGrip use, with its defaults: each check is one JSON line. */
class Query {
  static final String URL = "jdbc:" + System.getenv().getOrDefault("CLICKHOUSE", "http://127.0.0.1:8123")
      .replace("http:", "clickhouse:http:");
  static final String LONG = "it's ünïcode\\ \n\t".repeat(1250);
  static final String ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1";

  public static void main(String[] args) throws SQLException {
    try (var connection = DriverManager.getConnection(URL)) {
      report("events", () -> one(connection, "SELECT count() FROM tapcart.events"));
      report("types", () -> types(connection));
      report("parameters", () -> parameters(connection));
      report("long_parameter", () -> one(connection, "SELECT length(?)", LONG));
      report("settings", Query::settings);
      report("insert", () -> insert(connection));
      report("large", () -> large(connection));
      report("error", () -> error(connection));
      report("late_error", () -> lateError(connection));
      report("cancel", () -> cancel(connection));
      report("session", Query::session);
      report("metadata", () -> metadata(connection));
    }
  }

  static long one(Connection connection, String sql, Object... values) throws SQLException {
    try (var statement = connection.prepareStatement(sql)) {
      for (int index = 0; index < values.length; index++) {
        statement.setObject(index + 1, values[index]);
      }
      try (var rows = statement.executeQuery()) {
        rows.next();
        return rows.getLong(1);
      }
    }
  }

  static Map<String, Long> types(Connection connection) throws SQLException {
    var found = new TreeMap<String, Long>();
    try (var statement = connection.createStatement();
        var rows = statement.executeQuery("SELECT event_type, count() FROM tapcart.events GROUP BY event_type")) {
      while (rows.next()) {
        found.put(rows.getString(1), rows.getLong(2));
      }
    }
    return found;
  }

  static List<Object> parameters(Connection connection) throws SQLException {
    try (var statement = connection.prepareStatement("SELECT ?, toInt64(?), ?")) {
      statement.setString(1, LONG.substring(0, 16));
      statement.setInt(2, -42);
      statement.setObject(3, new String[] {"a", "b'"});
      try (var rows = statement.executeQuery()) {
        rows.next();
        return List.of(rows.getString(1), rows.getLong(2), List.of((Object[]) rows.getArray(3).getArray()));
      }
    }
  }

  static long settings() throws SQLException {
    var properties = new Properties();
    properties.setProperty("clickhouse_setting_max_block_size", "1234");
    try (var connection = DriverManager.getConnection(URL, properties)) {
      return one(connection, "SELECT getSetting('max_block_size')");
    }
  }

  static List<Long> insert(Connection connection) throws SQLException {
    try (var statement = connection.createStatement()) {
      statement.execute("CREATE DATABASE IF NOT EXISTS clients");
      statement.execute(
          "CREATE OR REPLACE TABLE clients.java (id UInt64, name String) ENGINE = MergeTree ORDER BY id");
    }
    try (var statement = connection.prepareStatement("INSERT INTO clients.java (id, name) VALUES (?, ?)")) {
      for (int id = 0; id < 10_000; id++) {
        statement.setInt(1, id);
        statement.setString(2, "name " + id);
        statement.addBatch();
      }
      statement.executeBatch();
    }
    try (var statement = connection.createStatement();
        var rows = statement.executeQuery("SELECT count(), sum(id), uniqExact(name) FROM clients.java")) {
      rows.next();
      return List.of(rows.getLong(1), rows.getLong(2), rows.getLong(3));
    }
  }

  static long large(Connection connection) throws SQLException {
    long sum = 0;
    try (var statement = connection.createStatement();
        var rows = statement.executeQuery("SELECT number, toString(number) FROM numbers(300000)")) {
      while (rows.next()) {
        sum += Long.parseLong(rows.getString(2));
      }
    }
    return sum;
  }

  static String error(Connection connection) {
    try {
      return "no error: " + one(connection, "SELECT count() FROM tapcart.nothing");
    } catch (SQLException error) {
      return String.valueOf(error.getErrorCode());
    }
  }

  static String lateError(Connection connection) {
    int count = 0;
    try (var statement = connection.createStatement();
        var rows = statement.executeQuery("SELECT throwIf(number = 3000000) FROM numbers(4000000)")) {
      while (rows.next()) {
        count++;
      }
    } catch (SQLException | RuntimeException error) {
      return "raised";
    }
    return count + " rows and no error";
  }

  static long cancel(Connection connection) throws Exception {
    var id = UUID.randomUUID().toString();
    var sql = "/* " + id + " */ " + ENDLESS;
    try (var statement = connection.createStatement()) {
      var thread = new Thread(() -> ignore(() -> statement.executeQuery(sql)));
      thread.start();
      if (!until(connection, id, true)) {
        throw new IllegalStateException("the query is not in system.processes");
      }
      statement.cancel();
      until(connection, id, false);
      thread.join(10_000);
      return running(connection, id) + (thread.isAlive() ? 1 : 0);
    }
  }

  static boolean until(Connection connection, String id, boolean isRunning) throws Exception {
    for (long end = System.nanoTime() + 10_000_000_000L; System.nanoTime() < end; Thread.sleep(100)) {
      if (running(connection, id) > 0 == isRunning) {
        return true;
      }
    }
    return false;
  }

  static long running(Connection connection, String id) throws SQLException {
    return one(connection, "SELECT count() FROM system.processes WHERE position(query, ?) > 0"
        + " AND position(query, 'system.processes') = 0", id);
  }

  static List<Integer> session() throws SQLException {
    var properties = new Properties();
    properties.setProperty("clickhouse_setting_session_id", UUID.randomUUID().toString());
    var found = new ArrayList<Integer>();
    try (var connection = DriverManager.getConnection(URL, properties); var statement = connection.createStatement()) {
      statement.execute("CREATE TEMPORARY TABLE mine (n UInt8)");
      statement.execute("INSERT INTO mine VALUES (1), (2), (3)");
      try (var rows = statement.executeQuery("SELECT n FROM mine ORDER BY n")) {
        while (rows.next()) {
          found.add(rows.getInt(1));
        }
      }
    }
    return found;
  }

  static List<String> metadata(Connection connection) throws SQLException {
    var found = new ArrayList<String>();
    try (var rows = connection.getMetaData().getTables(null, "tapcart", "%", null)) {
      while (rows.next()) {
        if (List.of("app_opened", "events").contains(rows.getString("TABLE_NAME"))) {
          found.add(rows.getString("TABLE_NAME"));
        }
      }
    }
    try (var rows = connection.getMetaData().getColumns(null, "tapcart", "events", "app_id")) {
      while (rows.next()) {
        found.add(rows.getString("COLUMN_NAME"));
      }
    }
    return found;
  }

  static void report(String name, Callable<Object> check) {
    try {
      System.out.println("{\"check\": " + json(name) + ", \"got\": " + json(check.call()) + "}");
    } catch (Exception error) {
      System.out.println("{\"check\": " + json(name) + ", \"error\": " + json(String.valueOf(error)) + "}");
    }
  }

  static void ignore(Callable<Object> call) {
    try {
      call.call();
    } catch (Exception error) {
      // Cancelled: that is what the check wants.
    }
  }

  static String json(Object value) {
    if (value instanceof List<?> list) {
      return "[" + String.join(", ", list.stream().map(Query::json).toList()) + "]";
    }
    if (value instanceof Map<?, ?> map) {
      return "{" + String.join(", ",
          map.entrySet().stream().map(one -> json(one.getKey()) + ": " + json(one.getValue())).toList()) + "}";
    }
    if (value instanceof Number) {
      return value.toString();
    }
    var text = new StringBuilder("\"");
    for (char letter : String.valueOf(value).toCharArray()) {
      text.append(letter == '"' || letter == '\\' ? "\\" + letter
          : letter < ' ' ? String.format("\\u%04x", (int) letter) : String.valueOf(letter));
    }
    return text.append('"').toString();
  }
}
