// during, pauses, pace: when requests leave.
// @times 110
import { exec, during, pause, pace, repeat, rendezVous, scenario, atOnceUsers, asLongAsDuring, doWhileDuring } from "@gatling.io/core";
import { one, run, say, ms } from "./lib.js";

export default run(
  one("during", during(1, "c").on(say("c=#{c}"), pause(ms(400)))),
  one("duringnot", during(1, "c", false).on(say("a"), pause(ms(700)), say("b"))),
  one("duringasap", during(1).on(say("a"), pause(ms(700)), say("b"))),
  one("pause", say("0"), pause(1), say("1000"), pause(ms(250)), say("1250"), exec((s) => s.set("p", 1)), pause("#{p}"), say("2250"), pause((s) => ({ amount: 100, unit: "milliseconds" })), say("2350")),
  one("pace", repeat(4, "i").on(pace(ms(500)), say("#{i}"), pause(ms(100)))),
  one("pacelate", repeat(3, "i").on(pace(ms(300)), say("#{i}"), pause(ms(450)))),
  one("pacetwo", repeat(3, "i").on(pace(ms(600)), say("a#{i}"), pace(ms(200)), say("b#{i}"))),
  one("pacenamed", repeat(3, "i").on(pace(ms(400), "p"), say("a#{i}"), pace(ms(400), "p"), say("b#{i}"))),
  one("asaplong", asLongAsDuring(() => true, 1).on(say("x"), pause(ms(600)))),
  one("dwd", doWhileDuring(() => true, 1).on(say("x"), pause(ms(600)))),
);
