// Rewrites templates.json with what Go's text/template makes of its templates:
//
//	go run templates.go templates.json
//
// Integers of the data are int64, as they are in ours; time stands still.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/template"
	"time"
)

type golden struct {
	Data  json.RawMessage `json:"data"`
	Cases []testCase      `json:"cases"`
}

type testCase struct {
	Template string  `json:"template"`
	Output   *string `json:"output,omitempty"`
	Error    string  `json:"error,omitempty"`
}

func integers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	}
	return v
}

func encode(v any) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(out.String())
}

func main() {
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var file golden
	if err := json.Unmarshal(raw, &file); err != nil {
		panic(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(file.Data))
	decoder.UseNumber()
	var data any
	if err := decoder.Decode(&data); err != nil {
		panic(err)
	}
	data = integers(data)

	now, _ := time.Parse(time.RFC3339Nano, "2026-03-05T21:07:09.5Z")
	date := func(layout string, t time.Time) string { return t.Format(layout) }
	functions := template.FuncMap{
		"now": func() time.Time { return now }, "date": date, "dateFormat": date,
		"lower": strings.ToLower, "upper": strings.ToUpper, "trim": strings.TrimSpace,
		"trimPrefix": strings.TrimPrefix, "trimSuffix": strings.TrimSuffix, "replace": strings.ReplaceAll,
		"contains": strings.Contains, "hasPrefix": strings.HasPrefix, "hasSuffix": strings.HasSuffix,
		"quote":  strconv.Quote,
		"string": func(v any) string { return fmt.Sprintf("%v", v) },
		"default": func(fallback, v any) any {
			if v == nil || v == "" {
				return fallback
			}
			return v
		},
		"toJson": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	}

	lines := make([]string, len(file.Cases))
	for i, c := range file.Cases {
		c.Output, c.Error = nil, ""
		t, err := template.New("t").Option("missingkey=error").Funcs(functions).Parse(c.Template)
		var out strings.Builder
		if err == nil {
			err = t.Execute(&out, data)
		}
		if err != nil {
			c.Error = err.Error()
		} else {
			text := out.String()
			c.Output = &text
		}
		lines[i] = encode(c)
	}
	text := fmt.Sprintf("{\"data\": %s,\n\"cases\": [\n%s\n]}\n", encode(file.Data), strings.Join(lines, ",\n"))
	if err := os.WriteFile(os.Args[1], []byte(text), 0o644); err != nil {
		panic(err)
	}
}
