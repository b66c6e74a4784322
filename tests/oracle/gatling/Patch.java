import static java.lang.constant.ConstantDescs.*;

import java.io.IOException;
import java.lang.classfile.*;
import java.lang.constant.*;
import java.nio.file.*;
import java.util.function.Consumer;

/**
 * Writes changed copies of three classes, to be found before the originals: the script engine lets
 * Gatling's event loops enter one context (as Gatling's own launcher makes it), the statistics engine
 * tells the recorder each event, and the open workload tells it the planned offsets.
 */
class Patch {
  static final ClassDesc RECORDER = ClassDesc.of("Recorder");
  static Path out;

  public static void main(String[] args) throws IOException {
    out = Path.of(args[0]);
    MethodTypeDesc access = MethodTypeDesc.of(CD_boolean, ClassDesc.of("java.lang.Thread"), CD_boolean);
    write("com.oracle.truffle.js.lang.JavaScriptLanguage", ClassTransform.endHandler(builder ->
        builder.withMethodBody("isThreadAccessAllowed", access, ClassFile.ACC_PROTECTED, code -> code.iconst_1().ireturn())));
    ClassDesc engine = ClassDesc.of("io.gatling.core.stats.DataWritersStatsEngine");
    ClassDesc active = ClassDesc.of("java.util.concurrent.atomic.AtomicBoolean");
    ClassDesc message = ClassDesc.of("io.gatling.core.stats.writer.DataWriterMessage");
    write("io.gatling.core.stats.DataWritersStatsEngine", ClassTransform.transformingMethodBodies(
        method -> method.methodName().equalsString("dispatch"),
        before(code -> code.aload(0).getfield(engine, "active", active).aload(1)
            .invokestatic(RECORDER, "event", MethodTypeDesc.of(CD_void, active, message)))));
    write("io.gatling.core.controller.inject.open.UserStream", ClassTransform.transformingMethodBodies(
        method -> method.methodName().equalsString("<init>"),
        before(code -> {
          ClassDesc iterator = ClassDesc.of("scala.collection.Iterator");
          code.aload(1).invokestatic(RECORDER, "offsets", MethodTypeDesc.of(iterator, iterator)).astore(1);
        })));
  }

  static CodeTransform before(Consumer<CodeBuilder> prologue) {
    return new CodeTransform() {
      @Override public void atStart(CodeBuilder code) { prologue.accept(code); }
      @Override public void accept(CodeBuilder code, CodeElement element) { code.with(element); }
    };
  }

  static void write(String name, ClassTransform transform) throws IOException {
    String path = name.replace('.', '/') + ".class";
    byte[] original;
    try (var stream = ClassLoader.getSystemResourceAsStream(path)) {
      if (stream == null) throw new IOException(name + " is not on the class path");
      original = stream.readAllBytes();
    }
    ClassFile files = ClassFile.of();
    Path target = out.resolve(path);
    Files.createDirectories(target.getParent());
    Files.write(target, files.transformClass(files.parse(original), transform));
  }
}
