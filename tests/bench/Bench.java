// The benchmark's cases for Gatling, in its Java SDK.
import static io.gatling.javaapi.core.CoreDsl.*;
import static io.gatling.javaapi.http.HttpDsl.*;

import io.gatling.javaapi.core.*;
import io.gatling.javaapi.http.*;
import java.time.Duration;

public class Bench extends Simulation {
  private static ChainBuilder steps(String kind) {
    HttpRequestActionBuilder order = http("order")
        .post("/items/#{id}?token=#{token}")
        .header("accept", "application/json")
        .header("accept-encoding", "identity")
        .header("content-type", "application/json")
        .header("user-agent", "bench/1")
        .header("x-token", "#{token}")
        .header("x-trace", "trace-#{id}")
        .body(StringBody("{\"item\": #{id}, \"token\": \"#{token}\", \"quantity\": 1}"))
        .requestTimeout(Duration.ofSeconds(10))
        .check(status().is(200), jsonPath("$.id").saveAs("order"));
    ChainBuilder fed = feed(csv("visitors.csv").circular());
    return switch (kind) {
      case "trivial" -> exec(http("get").get("/"));
      case "scenario" -> fed.exec(order);
      default -> fed
          .exec(session -> session.set("x", (session.contains("x") ? session.getInt("x") : 0) + 1))
          .exec(order);
    };
  }

  public Bench() {
    int seconds = Integer.getInteger("seconds");
    setUp(scenario("bench").during(seconds).on(steps(System.getProperty("case")))
        .injectOpen(atOnceUsers(Integer.getInteger("users"))))
        .protocols(http.baseUrl(System.getProperty("target")));
  }
}
