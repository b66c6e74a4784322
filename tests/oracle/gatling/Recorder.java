import io.gatling.app.Gatling$;
import io.gatling.core.stats.writer.DataWriterMessage;
import io.gatling.javaapi.core.*;
import java.io.*;
import java.nio.charset.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.*;
import org.graalvm.polyglot.*;
import org.graalvm.polyglot.io.IOAccess;
import scala.Product;
import scala.collection.Iterator;
import scala.concurrent.duration.FiniteDuration;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Runs cases on Gatling, one after another in this process, and writes the plain facts of each as JSON:
 * events, planned offsets, console, exit code. What they amount to is the business of the reader,
 * who makes the same of Onrush's results.
 *
 * A job is a line of the file given: bundle, result file, then key=value parameters, tab-separated.
 */
public class Recorder {
  static final int LIMIT_SECONDS = 90;
  static final List<String> events = Collections.synchronizedList(new ArrayList<>());
  static final List<String> plans = Collections.synchronizedList(new ArrayList<>());

  public static void main(String[] args) throws Exception {
    PrintStream terminal = System.out;
    Path results = Files.createTempDirectory("recorder");
    ByteArrayOutputStream console = new ByteArrayOutputStream();
    // Gatling and Scala keep the stream that they find first, so all cases share one.
    System.setOut(new PrintStream(console, true, StandardCharsets.UTF_8));
    for (String line : Files.readAllLines(Path.of(args[0]))) {
      List<String> job = List.of(line.split("\t"));
      Properties before = (Properties) System.getProperties().clone();
      System.setProperty("recorder.bundle", job.get(0));
      for (String parameter : job.subList(2, job.size())) {
        int at = parameter.indexOf('=');
        System.setProperty(parameter.substring(0, at), parameter.substring(at + 1));
      }
      events.clear();
      plans.clear();
      console.reset();
      String exit = run(results);
      System.setProperties(before);
      Files.writeString(Path.of(job.get(1)), "{\"exit\":" + exit + ",\"events\":[" + String.join(",", events)
          + "],\"offsets\":[" + String.join(",", plans) + "],\"console\":" + text(console.toString(StandardCharsets.UTF_8)) + "}");
      terminal.println(job.get(1) + " " + exit);
      // Threads of a run that never ends would disturb the ones after it.
      if (exit.equals("null")) Runtime.getRuntime().halt(3);
    }
    Runtime.getRuntime().halt(0);
  }

  /** The exit code; null for a run that did not end. */
  static String run(Path results) throws InterruptedException {
    String[] args = {"--simulation", "Recorder$Hosted", "--results-folder", results.toString(), "--no-reports"};
    CompletableFuture<Integer> code = new CompletableFuture<>();
    Thread thread = new Thread(() -> {
      try {
        code.complete(Gatling$.MODULE$.fromArgs(args));
      } catch (Throwable crash) {
        for (Throwable cause = crash; cause != null; cause = cause.getCause()) System.out.println("[crash] " + cause);
        code.complete(1);
      }
    });
    thread.setDaemon(true);
    thread.start();
    try {
      return String.valueOf(code.get(LIMIT_SECONDS, TimeUnit.SECONDS));
    } catch (TimeoutException | ExecutionException endless) {
      return "null";
    }
  }

  /** Called by the patched statistics engine, which ignores what comes after its stop: kind and fields. */
  public static void event(AtomicBoolean active, DataWriterMessage message) {
    if (!active.get()) return;
    List<Object> parts = new ArrayList<>(List.of(((Product) message).productPrefix()));
    CollectionConverters.asJava(((Product) message).productIterator()).forEachRemaining(parts::add);
    events.add(array(parts.toArray()));
  }

  /** Called by the patched open workload with the offsets of a population's users. */
  public static Iterator<FiniteDuration> offsets(Iterator<FiniteDuration> given) {
    List<FiniteDuration> all = new ArrayList<>();
    CollectionConverters.asJava(given).forEachRemaining(all::add);
    plans.add("[" + String.join(",", all.stream().map(at -> String.valueOf(at.toMicros())).toList()) + "]");
    return CollectionConverters.asScala(all.iterator());
  }

  static String array(Object... parts) {
    return "[" + String.join(",", Arrays.stream(parts).map(Recorder::json).toList()) + "]";
  }

  static String json(Object value) {
    return switch (value) {
      case Number number -> number.toString();
      case Boolean flag -> flag.toString();
      case scala.collection.Seq<?> list -> array(CollectionConverters.asJava(list).toArray());
      case scala.Option<?> option -> option.isEmpty() ? "null" : json(option.get());
      default -> text(value.toString());
    };
  }

  static String text(String value) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : value.toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }

  /** What Gatling starts: it evaluates the bundle, whose simulation is given setUp. */
  public static final class Hosted extends Simulation {
    public Hosted() throws IOException {
      Context context = Context.newBuilder("js").allowAllAccess(true).allowHostAccess(HostAccess.ALL)
          .allowHostClassLookup(name -> true).allowIO(IOAccess.ALL).allowExperimentalOptions(true)
          .option("js.strict", "true").build();
      context.eval(Source.newBuilder("js", new File(System.getProperty("recorder.bundle"))).build());
      Value simulation = context.getBindings("js").getMember("recorded").getMember("simulation");
      Function<List<PopulationBuilder>, SetUp> setUp = this::setUp;
      simulation.as(new TypeLiteral<Consumer<Function<List<PopulationBuilder>, SetUp>>>() {}).accept(setUp);
    }
  }

  /** What the SDK asks of Gatling's own launcher for scripts, which is not among its libraries. */
  public static final class Launcher {
    public static byte[] asByteArray(Value bytes) {
      return bytes.as(byte[].class);
    }
    public static Function<Session, byte[]> asByteArrayFunction(Function<Session, Value> given) {
      return session -> asByteArray(given.apply(session));
    }
    public static byte[] readResourceAsBytes(String path) throws IOException {
      try (InputStream found = ClassLoader.getSystemResourceAsStream(path)) {
        return found == null ? Files.readAllBytes(Path.of(path)) : found.readAllBytes();
      }
    }
    public static String readResourceAsString(String path, String charset) throws IOException {
      return new String(readResourceAsBytes(path), Charset.forName(charset));
    }
  }
}
