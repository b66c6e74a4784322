// What the packages export for their own sake: glue between JavaScript and the JVM's builders. A
// simulation that calls it is told so.

import { glue } from "onrush:base";

export const [
  asLongAsDuringImpl, asLongAsImpl, doIfEqualsImpl, doIfEqualsOrElseImpl, doIfImpl, doIfOrElseImpl,
  doSwitchImpl, doSwitchOrElseImpl, doWhileDuringImpl, doWhileImpl, duringImpl, errorsImpl,
  execImpl, feedImpl, foreachImpl, foreverImpl, groupImpl, paceImpl, pauseImpl, randomSwitchImpl,
  randomSwitchOrElseImpl, rendezVousImpl, repeatImpl, roundRobinSwitchImpl, setInSessionImpl,
  structureBuilderImpl, toJvmDuration, toJvmPauseType, underlyingBiSessionTransform,
  underlyingJvmXToXWithBiSessionToSession, underlyingJvmXToXWithSessionToSession,
  underlyingSessionTo, underlyingSessionToDuration, underlyingSessionToJava,
  underlyingSessionTransform, underlyingXWithSessionTo, underlyingXWithSessionToSession,
  uniformRandomSwitchImpl, wrapActionBuilder, wrapCheckBuilder, wrapCheckBuilderCaptureGroup,
  wrapCheckBuilderFinal, wrapCheckBuilderFind, wrapCheckBuilderJsonOfTypeFind,
  wrapCheckBuilderJsonOfTypeMultipleFind, wrapCheckBuilderMultipleFind, wrapCheckBuilderValidate,
  wrapCondition, wrapFileBasedFeederBuilder, wrapOn, wrapPopulationBuilder,
  wrapSeparatedValuesFeederBuilder, wrapSession,
] = [
  "asLongAsDuringImpl", "asLongAsImpl", "doIfEqualsImpl", "doIfEqualsOrElseImpl", "doIfImpl",
  "doIfOrElseImpl", "doSwitchImpl", "doSwitchOrElseImpl", "doWhileDuringImpl", "doWhileImpl",
  "duringImpl", "errorsImpl", "execImpl", "feedImpl", "foreachImpl", "foreverImpl", "groupImpl",
  "paceImpl", "pauseImpl", "randomSwitchImpl", "randomSwitchOrElseImpl", "rendezVousImpl",
  "repeatImpl", "roundRobinSwitchImpl", "setInSessionImpl", "structureBuilderImpl",
  "toJvmDuration", "toJvmPauseType", "underlyingBiSessionTransform",
  "underlyingJvmXToXWithBiSessionToSession", "underlyingJvmXToXWithSessionToSession",
  "underlyingSessionTo", "underlyingSessionToDuration", "underlyingSessionToJava",
  "underlyingSessionTransform", "underlyingXWithSessionTo", "underlyingXWithSessionToSession",
  "uniformRandomSwitchImpl", "wrapActionBuilder", "wrapCheckBuilder",
  "wrapCheckBuilderCaptureGroup", "wrapCheckBuilderFinal", "wrapCheckBuilderFind",
  "wrapCheckBuilderJsonOfTypeFind", "wrapCheckBuilderJsonOfTypeMultipleFind",
  "wrapCheckBuilderMultipleFind", "wrapCheckBuilderValidate", "wrapCondition",
  "wrapFileBasedFeederBuilder", "wrapOn", "wrapPopulationBuilder",
  "wrapSeparatedValuesFeederBuilder", "wrapSession",
].map(glue);
