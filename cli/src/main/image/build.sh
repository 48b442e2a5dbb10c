#!/bin/bash
# Makes the runtime image: build.sh JAVA_HOME KAVAL_JAR MODULES SOURCES OUTPUT VERSION
#
# MODULES is a folder with the modules that KAVAL_JAR needs, SOURCES one with picocli's source jar.
# OUTPUT/ gets the modules, the launcher bin/kaval and the AOT cache lib/kaval.aot (JEP 514), and
# OUTPUT-VERSION-linux-x86_64.tar.gz is the same as an archive.
set -euo pipefail
java_home=$1 kaval_jar=$2 modules=$3 sources=$4 output=$5 version=$6
here=$(dirname "$(readlink -f "$0")")
work=$output.work
rm -rf "$output" "$work"
mkdir -p "$work/modules" "$work/picocli"

# picocli's jar is for Java 5. An AOT cache leaves out classes so old, and without them in it the
# command line alone takes 90 ms; so its own source is compiled anew.
for jar in "$modules"/*.jar; do
    case $jar in
    */picocli-*) (cd "$work/picocli" && "$java_home/bin/jar" xf "$jar" META-INF/versions/9) ;;
    *) cp "$jar" "$work/modules/" ;;
    esac
done
(cd "$work/picocli" && mv META-INF/versions/9/module-info.class . && rm -r META-INF &&
    "$java_home/bin/jar" xf "$sources"/picocli-*.jar picocli)
find "$work/picocli" -name '*.java' >"$work/picocli.files"
"$java_home/bin/javac" -nowarn -proc:none --release 25 -d "$work/picocli" "@$work/picocli.files"
find "$work/picocli" -name '*.java' -delete
"$java_home/bin/jar" --create --file "$work/modules/picocli.jar" -C "$work/picocli" .

link() {
    rm -rf "$output"
    "$java_home/bin/jlink" --module-path "$kaval_jar:$work/modules" --add-modules org.kaval.cli \
        --no-header-files --no-man-pages --output "$output" "$@"
    install -m 755 "$here/kaval" "$output/bin/kaval"
}

# The training runs boot guests; where there is no /dev/kvm they do the rest. Their files are where the
# path of a socket is short enough.
runtime=$(mktemp -d)
trap 'rm -rf "$runtime"' EXIT
folder=
if [ -w /dev/kvm ]; then
    folder=$runtime
else
    echo "no /dev/kvm: the image is trained without a guest, and starts will be slower"
fi
train() {
    sed -e "s|-XX:AOTCache=[^ ]*|$1|" -e 's/cli\.Kaval /cli.Training /' \
        "$here/kaval" >"$output/bin/train"
    chmod 755 "$output/bin/train"
    KAVAL_RUNTIME_DIR=$runtime/run "$output/bin/train" $folder </dev/null >"$work/training.log" 2>&1 || {
        cat "$work/training.log"
        echo "the training run failed"
        exit 1
    }
    rm "$output/bin/train"
}

# Method handles need classes that the JVM writes on first use. A first run says which; then the
# image has them, and the JDK's list of what belongs into every AOT cache says so as well: what is
# not in that list would be taken out again.
link
train -Djava.lang.invoke.MethodHandle.TRACE_RESOLVE=true
grep -E '^\[(LF|SPECIES)_RESOLVE\]' "$work/training.log" >"$work/method-handles"
link --generate-jli-classes="@$work/method-handles"
sed -n 's/^\(\[LF_RESOLVE\].*\) (.*)$/@lambda-form-invoker \1/p' "$work/method-handles" |
    sort -u >>"$output/lib/classlist"
train '-XX:AOTCacheOutput="$home/lib/kaval.aot"'
[ -s "$output/lib/kaval.aot" ] || {
    cat "$work/training.log"
    echo "the training run left no AOT cache"
    exit 1
}
tar -C "$(dirname "$output")" --sort=name --owner=0 --group=0 --numeric-owner \
    -czf "$output-$version-linux-x86_64.tar.gz" "$(basename "$output")"
rm -r "$work"
