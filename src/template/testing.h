// Templates and what Go prints for them: for the unit tests, and for the comparison with Docker.
#pragma once

#include <string_view>

namespace bulkhead::templates::testing {

inline constexpr std::string_view kDocument = R"json({
  "Description": "d",
  "Id": "0123456789abcdef",
  "Name": "/web",
  "Labels": {"tier": "front", "com.example.role": "proxy"},
  "Empty": {},
  "State": {"Running": true, "ExitCode": 137, "Error": "", "Health": null},
  "Args": ["-c", "a b", "x<y&z"],
  "None": [],
  "Mixed": {"b": [1, 2.5, "x"], "a": null, "c": true},
  "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "443/tcp": null},
  "Text": "zwölf Äpfel",
  "Ratio": 2.5
})json";

struct Case {
  std::string_view text;
  std::string_view expected;
};

inline constexpr Case kCases[] = {
    // Text, fields, comments, trimming.
    {"", ""},
    {"plain } text { }}", "plain } text { }}"},
    {"{{.Id}}", "0123456789abcdef"},
    {"a{{/* nothing */}}b", "ab"},
    {"a {{- /* nothing */ -}} b", "ab"},
    {"{{23 -}} < {{- 45}}", "23<45"},
    {"a \n {{- 1 -}} \t\n b", "a1b"},
    {"{{-3}}", "-3"},
    {"{{ .State.ExitCode }}", "137"},
    {"{{.State.Running}} {{.Ratio}} {{.State.Health}}", "true 2.5 <no value>"},
    {"{{.Labels.tier}} {{.Labels.absent}}", "front <no value>"},
    {"{{.Text}}", "zwölf Äpfel"},
    // How values are printed.
    {"{{.Args}} {{.None}} {{.Empty}}", "[-c a b x<y&z] [] map[]"},
    {"{{.Labels}}", "map[com.example.role:proxy tier:front]"},
    {"{{.Mixed}}", "map[a:<nil> b:[1 2.5 x] c:true]"},
    {"{{json .Args}} {{json .None}} {{json .State.Health}}", R"(["-c","a b","x<y&z"] [] null)"},
    {"{{json .Mixed.b}} {{json \"a\\\"b\"}} {{json true}}", R"([1,2.5,"x"] "a\"b" true)"},
    // Constants.
    {R"({{"a\tb"}} {{`raw\t`}} {{'A'}} {{'ö'}} {{0x1f}} {{017}} {{0b101}} {{1_000}})",
     "a\tb raw\\t 65 246 31 15 5 1000"},
    {"{{1.5}} {{1e30}} {{1e20}} {{0.00001}} {{1234567.5}} {{true}} {{false}}",
     "1.5 1e+30 1e+20 1e-05 1.2345675e+06 true false"},
    {R"({{"\x41\101\u00f6\n"}}.)", "AAö\n."},
    // Conditions.
    {"{{if .State.Running}}up{{else}}down{{end}}", "up"},
    {"{{if .State.Error}}bad{{else if .State.Running}}up{{else}}down{{end}}", "up"},
    {"{{if .None}}a{{else if .Empty}}b{{else if .State.Health}}c{{else if 0}}d{{else}}e{{end}}",
     "e"},
    {"{{with .State}}{{.ExitCode}}{{end}}{{with .State.Health}}x{{else}}none{{end}}", "137none"},
    {"{{with $x := .Id}}{{$x | len}}{{end}}", "16"},
    {"{{with .None}}a{{else with .State}}{{.ExitCode}}{{end}}", "137"},
    {"{{if and .State.Running (eq .Name \"/web\")}}both{{end}}", "both"},
    {"{{and 0 .State.Running}} {{and 1 2}} {{or 0 \"x\"}} {{or 0 \"\"}}.", "0 2 x ."},
    {"{{not 0}} {{not .Args}} {{not .None}}", "true false true"},
    {"{{or true (index .Args 99)}}", "true"},
    // Loops.
    {"{{range .Args}}<{{.}}>{{end}}", "<-c><a b><x<y&z>"},
    {"{{range $i, $e := .Args}}{{if $i}}, {{end}}{{$i}}={{$e}}{{end}}", "0=-c, 1=a b, 2=x<y&z"},
    {"{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "com.example.role=proxy;tier=front;"},
    {"{{range $v := .Labels}}{{$v}};{{end}}", "proxy;front;"},
    {"{{range .None}}x{{else}}empty{{end}}", "empty"},
    {"{{range .Empty}}x{{else}}empty{{end}}", "empty"},
    {"{{range $p, $c := .Ports}}{{$p}}->{{range $c}}{{.HostIp}}:{{.HostPort}} {{end}};{{end}}",
     "443/tcp->;80/tcp->0.0.0.0:8080 :::8080 ;"},
    {"{{range .Args}}{{if eq . \"a b\"}}{{break}}{{end}}{{.}}{{end}}", "-c"},
    {"{{range .Args}}{{if eq . \"a b\"}}{{continue}}{{end}}{{.}}{{end}}", "-cx<y&z"},
    // Variables.
    {"{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}", "12"},
    {"{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"},
    {"{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"},
    {"{{$x := .State}}{{$x.ExitCode}}", "137"},
    {"{{$last := \"\"}}{{range .Args}}{{$last = .}}{{end}}{{$last}}", "x<y&z"},
    // Looking things up.
    {"{{index .Args 1}} {{index .Labels \"com.example.role\"}}", "a b proxy"},
    {"{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"},
    {"{{(index .Ports \"80/tcp\" 1).HostIp}}", "::"},
    {"{{index .Mixed \"absent\"}}", "<no value>"},
    {"{{len .Args}} {{len .Labels}} {{len .Id}} {{len .None}}", "3 2 16 0"},
    {"{{slice .Id 0 4}} {{slice .Id 12}} {{slice .Args 1 2}}", "0123 cdef [a b]"},
    // Comparisons.
    {"{{eq 1 1}} {{eq 1 2}} {{eq \"a\" \"b\" \"a\"}} {{ne 1 2}}", "true false true true"},
    {"{{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 2 3}}", "true true false false"},
    {"{{lt \"a\" \"b\"}} {{lt 1.5 2.5}} {{eq true true}}", "true true true"},
    {"{{eq .State.Health nil}} {{eq .Id nil}}", "true false"},
    // Pipelines and printing.
    {"{{.Name | printf \"%s!\"}} {{\"x\" | printf \"%s%s\" \"y\"}}", "/web! yx"},
    {"{{printf \"%d %5d|%-5d|%05d %x %X %o %b %c\" 42 42 42 42 255 255 8 5 65}}",
     "42    42|42   |00042 ff FF 10 101 A"},
    {"{{printf \"%+d % d %#x %.3d\" 5 5 255 7}}", "+5  5 0xff 007"},
    {"{{printf \"%s|%8s|%-8s|%.2s|%q|%x\" \"abc\" \"abc\" \"abc\" \"abc\" \"a\\\"b\" \"hi\"}}",
     "abc|     abc|abc     |ab|\"a\\\"b\"|6869"},
    {"{{printf \"%t %v %f %.1f %8.2f %e %g\" true true 1.5 1.25 3.14159 1.5 1.5}}",
     "true true 1.500000 1.2     3.14 1.500000e+00 1.5"},
    {"{{printf \"%v %s %q %d\" .Args .Args .Args .None}}",
     "[-c a b x<y&z] [-c a b x<y&z] [\"-c\" \"a b\" \"x<y&z\"] []"},
    {"{{printf \"%d\" \"x\"}} {{printf \"%s\" 5}} {{printf \"%d\"}} {{printf \"x\" 1}} {{printf "
     "\"%\"}}",
     "%!d(string=x) %!s(int=5) %!d(MISSING) x%!(EXTRA int=1) %!(NOVERB)"},
    {"{{printf \"%%\"}} {{printf \"%v %s\" nil nil}}", "% <nil> %!s(<nil>)"},
    {"{{printf \"%v\" .Labels}}", "map[com.example.role:proxy tier:front]"},
    {"{{printf \"%T %T\" 1 \"x\"}}", "int string"},
    {"{{print 1 2 \"a\" 3 true}}|{{println \"a\" 1}}|{{print}}", "1 2a3 true|a 1\n|"},
    {"{{html \"<a href='x'>&\"}} {{urlquery \"a b&c/ö\"}}",
     "&lt;a href=&#39;x&#39;&gt;&amp; a+b%26c%2F%C3%B6"},
    // Docker's functions.
    {"{{join (split \"a,b,c\" \",\") \"+\"}} {{split \"a,b\" \",\"}}", "a+b+c [a b]"},
    {"{{len (split \"\" \",\")}} {{len (split \"\" \"\")}} {{split \"äb\" \"\"}}", "1 0 [ä b]"},
    {"{{upper \"abc\"}} {{lower \"ABC\"}} {{title \"hello world-x y_z 9a\"}}",
     "ABC abc Hello World-X Y_z 9a"},
    {"{{.Name | upper | lower}}", "/web"},
    {"[{{pad \"x\" 2 3}}] [{{pad \"\" 2 3}}]", "[  x   ] []"},
    {"{{truncate .Id 4}} {{truncate \"ab\" 4}}", "0123 ab"},
};

}  // namespace bulkhead::templates::testing
