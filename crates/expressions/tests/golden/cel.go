// Rewrites cel.json with what cel-go makes of its expressions, parse only, as adapters configure it. In a module that requires
// github.com/google/cel-go (v0.31.0 wrote the file):
//
//	go run cel.go cel.json
//
// Integers of the data are int64, as they are in ours.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

type golden struct {
	Data  json.RawMessage `json:"data"`
	Cases []testCase      `json:"cases"`
}

type testCase struct {
	Expression string          `json:"expression"`
	Value      json.RawMessage `json:"value,omitempty"`
	Error      string          `json:"error,omitempty"`
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

func evaluate(env *cel.Env, vars map[string]any, expression string) (ref.Val, error) {
	tree, issues := env.Parse(expression)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	program, err := env.Program(tree)
	if err != nil {
		return nil, err
	}
	value, _, err := program.Eval(vars)
	return value, err
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
	vars := integers(data).(map[string]any)
	env, err := cel.NewEnv(cel.OptionalTypes(), ext.Strings(), ext.Lists())
	if err != nil {
		panic(err)
	}
	lines := make([]string, len(file.Cases))
	for i, c := range file.Cases {
		c.Value, c.Error = nil, ""
		value, err := evaluate(env, vars, c.Expression)
		if err == nil {
			var native any
			if native, err = value.ConvertToNative(reflect.TypeOf(&structpb.Value{})); err == nil {
				c.Value, err = protojson.Marshal(native.(*structpb.Value))
			}
		}
		if err != nil {
			c.Error = err.Error()
		}
		var line bytes.Buffer
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(c); err != nil {
			panic(err)
		}
		lines[i] = strings.TrimSpace(line.String())
	}
	text := fmt.Sprintf("{\"data\": %s,\n\"cases\": [\n%s\n]}\n", file.Data, strings.Join(lines, ",\n"))
	if err := os.WriteFile(os.Args[1], []byte(text), 0o644); err != nil {
		panic(err)
	}
}
