package org.kaval.machine.snapshot;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Trees of maps, lists, numbers, flags and strings as JSON. Bytes are strings that begin with
/// `base64:`.
final class Json {
    private static final String BYTES = "base64:";

    /// More than there is in any machine; deeper trees would overflow the stack.
    private static final int DEEPEST = 32;

    private static final JsonFactory FACTORY =
            JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

    private Json() {}

    /// Loads the parser.
    static void prepare() {
        byte[] nothing = {'{', '}'};
        try {
            read(nothing, 0, nothing.length);
        } catch (IOException e) {
            throw new IllegalStateException("the empty object is JSON", e);
        }
    }

    static byte[] write(Map<String, Object> tree) throws IOException {
        var bytes = new ByteArrayOutputStream();
        var lines = new DefaultIndenter("  ", "\n");
        try (JsonGenerator json = FACTORY.createGenerator(bytes)) {
            json.setPrettyPrinter(new DefaultPrettyPrinter().withObjectIndenter(lines));
            write(json, tree);
        }
        return bytes.toByteArray();
    }

    private static void write(JsonGenerator json, Object value) throws IOException {
        switch (value) {
            case Map<?, ?> map -> {
                json.writeStartObject();
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    json.writeFieldName(String.valueOf(entry.getKey()));
                    write(json, entry.getValue());
                }
                json.writeEndObject();
            }
            case List<?> list -> {
                json.writeStartArray();
                for (Object element : list) {
                    write(json, element);
                }
                json.writeEndArray();
            }
            case Number number -> json.writeNumber(number.longValue());
            case Boolean flag -> json.writeBoolean(flag);
            case byte[] bytes ->
                    json.writeString(BYTES + Base64.getEncoder().encodeToString(bytes));
            case String text -> json.writeString(text);
            default -> throw new IllegalArgumentException("not in JSON: " + value.getClass());
        }
    }

    /// @throws IOException if it is not such a tree; the message does not name a file
    static Map<String, Object> read(byte[] bytes, int from, int length) throws IOException {
        try (JsonParser json = FACTORY.createParser(bytes, from, length)) {
            if (json.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("no JSON object");
            }
            Map<String, Object> tree = readObject(json, DEEPEST);
            if (json.nextToken() != null) {
                throw new IOException("more than one JSON object");
            }
            return tree;
        } catch (JsonProcessingException e) {
            throw new IOException(e.getOriginalMessage(), e); // its own has several lines
        }
    }

    private static Map<String, Object> readObject(JsonParser json, int depth) throws IOException {
        var map = new LinkedHashMap<String, Object>();
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String name = json.currentName();
            json.nextToken();
            map.put(name, readValue(json, depth));
        }
        return map;
    }

    private static Object readValue(JsonParser json, int depth) throws IOException {
        if (depth == 0) {
            throw new IOException("nested too deeply");
        }
        JsonToken token = json.currentToken();
        if (token == null) { // a case of the switch would cost milliseconds at start
            throw new IOException("unexpected end");
        }
        return switch (token) {
            case START_OBJECT -> readObject(json, depth - 1);
            case START_ARRAY -> {
                var list = new ArrayList<Object>();
                while (json.nextToken() != JsonToken.END_ARRAY) {
                    list.add(readValue(json, depth - 1));
                }
                yield list;
            }
            case VALUE_NUMBER_INT -> json.getLongValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_STRING -> string(json.getText());
            default -> throw new IOException("unexpected " + token);
        };
    }

    private static Object string(String text) throws IOException {
        if (!text.startsWith(BYTES)) {
            return text;
        }
        try {
            return Base64.getDecoder().decode(text.substring(BYTES.length()));
        } catch (IllegalArgumentException e) {
            throw new IOException("bytes that are no base64", e);
        }
    }
}
