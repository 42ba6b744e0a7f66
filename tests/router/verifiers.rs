//! What each built-in verifier says of an answer, and what a cascade makes of a request.

use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use thrifty::router::verify::{
    Agreement, Exchange, Finished, LearnedVerifier, MatchesSchema, ValidToolCalls, Verdict, Verifier,
    VerifierExt, verifier_fn,
};
use thrifty::router::{
    AnswerModel, CascadeLines, CascadeRouter, Labelled, LabelledAnswer, Quality, Route, RouteRequest, Score,
    Step, Threshold, Trainer,
};
use thrifty::{Endpoint, ModelId};

use super::{FULL, MINI, model, reason, route, says};

/// Judges an answer, without a runtime: no built-in verifier waits.
fn judge(verifier: &impl Verifier, endpoint: &Endpoint, request: &Value, answer: &Value) -> Verdict {
    judge_bytes(
        verifier,
        endpoint,
        &request.to_string(),
        &answer.to_string(),
        None,
    )
}

fn judge_bytes(
    verifier: &impl Verifier,
    endpoint: &Endpoint,
    request: &str,
    answer: &str,
    second: Option<&str>,
) -> Verdict {
    let model = ModelId::from(MINI);
    let mut exchange = Exchange::new(endpoint, request.as_bytes(), &model, answer.as_bytes());
    if let Some(second) = second {
        exchange = exchange.with_second(second.as_bytes());
    }
    verifier.judge(&exchange).now_or_never().unwrap()
}

fn chat(content: &Value, finish: &str) -> Value {
    json!({"choices": [{"message": {"content": content}, "finish_reason": finish}]})
}

fn calls(name: &str, arguments: &str) -> Value {
    let call = json!({"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}});
    json!({"choices": [{"message": {"content": null, "tool_calls": [call]}, "finish_reason": "tool_calls"}]})
}

const CHAT: Endpoint = Endpoint::ChatCompletions;

#[test]
fn an_answer_is_finished_if_it_says_something_and_is_whole() {
    let verdict = |answer: Value| judge(&Finished::new(), &CHAT, &json!({}), &answer);
    assert_eq!(verdict(chat(&json!("hi"), "stop")), Verdict::Accept);
    assert_eq!(verdict(calls("f", "{}")), Verdict::Accept);
    let said = json!({"choices": [{"message": {"content": "hi", "refusal": ""}, "finish_reason": "stop"}]});
    assert_eq!(verdict(said), Verdict::Accept);
    let refused =
        json!({"choices": [{"message": {"content": null, "refusal": "no"}, "finish_reason": "stop"}]});
    for (answer, why) in [
        (chat(&json!("hi"), "length"), "it was cut off"),
        (chat(&json!("hi"), "content_filter"), "a filter held it back"),
        (chat(&json!(" \n"), "stop"), "it is empty"),
        (chat(&Value::Null, "stop"), "it is empty"),
        (json!({"choices": []}), "it is empty"),
        (json!({"object": "chat.completion"}), "it cannot be read"),
        (refused, "the model refused"),
        (
            json!({"choices": [{"message": {"content": "", "refusal": ""}, "finish_reason": "stop"}]}),
            "it is empty",
        ),
        (
            json!({"choices": [{"message": {"content": "hi"}}]}),
            "it did not end",
        ),
    ] {
        assert_eq!(verdict(answer.clone()), Verdict::Reject(why), "{answer}");
    }
    let letter = chat(&json!("B"), "length");
    assert_eq!(
        judge(&Finished::new().with_cut_off(), &CHAT, &json!({}), &letter),
        Verdict::Accept
    );
    let response = json!({"status": "completed", "output": [
        {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}]});
    assert_eq!(
        judge(&Finished::new(), &Endpoint::Responses, &json!({}), &response),
        Verdict::Accept
    );
}

#[test]
fn calls_of_tools_are_valid_if_the_tools_were_offered_and_get_what_they_require() {
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let weather = json!({"type": "function", "function": {"name": "weather", "parameters": parameters}});
    let request = json!({"tools": [weather, {"type": "custom", "custom": {"name": "code"}}]});
    let verdict = |request: &Value, answer: &Value| judge(&ValidToolCalls::new(), &CHAT, request, answer);
    assert_eq!(
        verdict(&request, &calls("weather", "{\"city\":\"Rome\"}")),
        Verdict::Accept
    );
    assert_eq!(verdict(&request, &chat(&json!("sunny"), "stop")), Verdict::Accept);
    for (answer, why) in [
        (calls("whether", "{}"), "it calls a tool that was not offered"),
        (
            calls("weather", "{\"city\":"),
            "it calls a tool with what is no JSON object",
        ),
        (
            calls("weather", "[]"),
            "it calls a tool with what is no JSON object",
        ),
        (
            calls("weather", "{\"town\":\"Rome\"}"),
            "it calls a tool without an argument that is required",
        ),
    ] {
        assert_eq!(verdict(&request, &answer), Verdict::Reject(why), "{answer}");
    }
    let custom = json!({"type": "custom", "custom": {"name": "code", "input": "print(1)"}});
    let custom = json!({"choices": [{"message": {"tool_calls": [custom]}, "finish_reason": "tool_calls"}]});
    assert_eq!(verdict(&request, &custom), Verdict::Accept);
    for (choice, must) in [
        (json!("required"), true),
        (json!("auto"), false),
        (json!({"type": "function", "function": {"name": "weather"}}), true),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}),
            false,
        ),
    ] {
        let mut request = request.clone();
        request["tool_choice"] = choice;
        let verdict = verdict(&request, &chat(&json!("sunny"), "stop"));
        let expected = if must {
            Verdict::Reject("it calls no tool")
        } else {
            Verdict::Accept
        };
        assert_eq!(verdict, expected, "{request}");
    }
    let of_responses = json!({"tools": [{"type": "function", "name": "weather", "parameters": parameters}]});
    let call = json!({"type": "function_call", "name": "weather", "arguments": "{}"});
    let answer = json!({"status": "completed", "output": [call]});
    let verdict = judge(
        &ValidToolCalls::new(),
        &Endpoint::Responses,
        &of_responses,
        &answer,
    );
    assert_eq!(
        verdict,
        Verdict::Reject("it calls a tool without an argument that is required")
    );
}

#[test]
fn a_schema_of_the_request_is_what_the_answer_is_held_against() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let of_chat =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}});
    let of_responses = json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}});
    let any = json!({"response_format": {"type": "json_object"}});
    let verifier = MatchesSchema::new();
    let verdict = |request: &Value, text: &str| judge(&verifier, &CHAT, request, &chat(&json!(text), "stop"));
    for _ in 0..2 {
        assert_eq!(verdict(&of_chat, "{\"n\": 3}"), Verdict::Accept);
        assert_eq!(
            verdict(&of_chat, "{\"n\": 3.5}"),
            Verdict::Reject("it is not by the schema")
        );
        assert_eq!(verdict(&of_chat, "n is 3"), Verdict::Reject("it is no JSON"));
    }
    assert_eq!(
        verdict(&of_responses, "{\"n\": true}"),
        Verdict::Reject("it is not by the schema")
    );
    assert_eq!(verdict(&any, "{}"), Verdict::Accept);
    assert_eq!(verdict(&any, "[]"), Verdict::Reject("it is not by the schema"));
    assert_eq!(
        verdict(&json!({"response_format": {"type": "text"}}), "anything"),
        Verdict::Accept
    );
    assert_eq!(verdict(&json!({}), "anything"), Verdict::Accept);
    let odd = json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 3}}}});
    assert_eq!(verdict(&odd, "{}"), Verdict::Reject("the schema cannot be read"));
}

#[test]
fn two_models_agree_on_what_is_compared_and_on_nothing_else() {
    let verdict = |verifier: &Agreement, first: &Value, second: Option<&Value>| {
        let second = second.map(Value::to_string);
        judge_bytes(verifier, &CHAT, "{}", &first.to_string(), second.as_deref())
    };
    let text = |text: &str| chat(&json!(text), "stop");
    let number = Agreement::on_number("second");
    assert_eq!(number.second_opinion(), Some(&"second".into()));
    assert_eq!(verdict(&number, &text("4"), None), Verdict::AskSecond);
    assert_eq!(
        verdict(&number, &text("none"), None),
        Verdict::Reject("it has no number to compare")
    );
    assert_eq!(
        verdict(&number, &text("4"), Some(&text("four: 4.0"))),
        Verdict::Accept
    );
    let differs = Verdict::Reject("the second model does not agree");
    assert_eq!(verdict(&number, &text("4"), Some(&text("5"))), differs);
    assert_eq!(verdict(&number, &text("4"), Some(&json!({}))), differs);
    let label = Agreement::on_label("second", ["yes", "no"]);
    assert_eq!(
        verdict(&label, &text("Yes."), Some(&text("yes, surely"))),
        Verdict::Accept
    );
    assert_eq!(verdict(&label, &text("Yes."), Some(&text("yes? No"))), differs);
    let called = Agreement::on_tool_calls("second");
    let (one, other) = (
        calls("f", "{\"a\":1,\"b\":2}"),
        calls("f", "{\"b\": 2, \"a\": 1}"),
    );
    assert_eq!(verdict(&called, &one, Some(&other)), Verdict::Accept);
    assert_eq!(
        verdict(&called, &one, Some(&calls("g", "{\"a\":1,\"b\":2}"))),
        differs
    );
    assert_eq!(
        verdict(&called, &text("hi"), None),
        Verdict::Reject("it has no calls of tools to compare")
    );
}

#[test]
fn both_accept_only_what_each_accepts_and_the_lower_number_stands() {
    let fixed = |verdict: Verdict| verifier_fn(move |_| verdict);
    let unsure = |quality: f32| Verdict::Unsure(Quality::new(quality).unwrap());
    for (one, other, both) in [
        (Verdict::Accept, Verdict::Accept, Verdict::Accept),
        (Verdict::Reject("a"), Verdict::Reject("b"), Verdict::Reject("a")),
        (Verdict::Accept, Verdict::Reject("b"), Verdict::Reject("b")),
        (unsure(0.2), Verdict::Accept, unsure(0.2)),
        (unsure(0.2), unsure(0.7), unsure(0.2)),
        (unsure(0.7), unsure(0.2), unsure(0.2)),
        (Verdict::AskSecond, Verdict::Accept, Verdict::AskSecond),
        (unsure(0.7), Verdict::AskSecond, Verdict::AskSecond),
    ] {
        let verdict = judge(&fixed(one).and(fixed(other)), &CHAT, &json!({}), &json!({}));
        assert_eq!(verdict, both, "{one:?} and {other:?}");
    }
    let second = Finished::new().and(Agreement::on_json("second"));
    assert_eq!(second.second_opinion(), Some(&"second".into()));
    // What is not finished is not worth a second opinion.
    let cut = chat(&json!("{}"), "length");
    assert_eq!(
        judge(&second, &CHAT, &json!({}), &cut),
        Verdict::Reject("it was cut off")
    );
}

/// Learned from answers that are bad if they doubt, or if another verifier rejects them.
fn answers() -> AnswerModel {
    let row = |n: usize| {
        let (doubts, rejected) = (n.is_multiple_of(3), n.is_multiple_of(4));
        let labelled = Labelled::new(format!("what is {n}"))
            .with_quality(MINI, !doubts && !rejected)
            .with_quality(FULL, true);
        let verdict = if rejected {
            Verdict::Reject("no")
        } else {
            Verdict::Accept
        };
        LabelledAnswer::new(labelled, if doubts { "hard to say" } else { "surely so" }).with_verdict(verdict)
    };
    let rows: Vec<_> = (0..600).map(row).collect();
    Trainer::new([MINI, FULL]).train_answers(&rows, None).unwrap()
}

#[test]
fn a_learned_verifier_is_the_surer_the_less_is_gained_by_asking_on() {
    let model = answers();
    let request = json!({"messages": [{"role": "user", "content": "what is 5"}]});
    let heard = |verdict: Verdict| LearnedVerifier::new(model.clone()).hearing(verifier_fn(move |_| verdict));
    let quality = |verifier: &LearnedVerifier, answer: &Value| match judge(verifier, &CHAT, &request, answer)
    {
        Verdict::Unsure(quality) => quality.get(),
        other => panic!("{other:?}"),
    };
    let (sure, doubtful) = (
        chat(&json!("surely so"), "stop"),
        chat(&json!("hard to say"), "stop"),
    );
    let accepted = heard(Verdict::Accept);
    let good = quality(&accepted, &sure);
    assert!(good > 0.4 && quality(&accepted, &doubtful) < good - 0.1);
    assert!(quality(&heard(Verdict::Reject("no")), &sure) < good - 0.1);
    let row = LabelledAnswer::new(Labelled::new("what is 5"), "surely so").with_verdict(Verdict::Accept);
    assert!((good - (1.0 - model.gain(&row)) / 2.0).abs() < 1e-6);

    // Of several choices the worst one counts.
    let both = json!({"choices": [sure["choices"][0], doubtful["choices"][0]]});
    let worst = quality(&accepted, &doubtful);
    assert!((quality(&accepted, &both) - worst).abs() < 1e-6);

    let line = accepted.with_threshold(Threshold::at(0.2).unwrap());
    assert_eq!(judge(&line, &CHAT, &request, &sure), Verdict::Accept);
    let better = Verdict::Reject("the next model's answer is probably better");
    assert_eq!(judge(&line, &CHAT, &request, &doubtful), better);
}

#[test]
fn a_learned_verifier_asks_whom_it_hears_and_rejects_what_it_cannot_read() {
    let agreement = || LearnedVerifier::new(answers()).hearing(Agreement::on_number("second"));
    assert_eq!(agreement().second_opinion(), Some(&"second".into()));
    let request = json!({"messages": [{"role": "user", "content": "what is 5"}]}).to_string();
    let answer = chat(&json!("5"), "stop").to_string();
    let verdict = |second| judge_bytes(&agreement(), &CHAT, &request, &answer, second);
    assert_eq!(verdict(None), Verdict::AskSecond);
    assert!(matches!(verdict(Some(answer.as_str())), Verdict::Unsure(_)));

    let alone = LearnedVerifier::new(answers());
    assert_eq!(alone.second_opinion(), None);
    for (request, answer, why) in [
        (&*request, "{}", "it cannot be read"),
        (&*request, r#"{"choices":[]}"#, "it is empty"),
        ("[]", &*answer, "it cannot be read"),
        ("{}", &*answer, "the prompt has no text"),
    ] {
        assert_eq!(
            judge_bytes(&alone, &CHAT, request, answer, None),
            Verdict::Reject(why)
        );
    }
    let other = ModelId::from("o3");
    let exchange = Exchange::new(&CHAT, request.as_bytes(), &other, answer.as_bytes());
    let verdict = alone.judge(&exchange).now_or_never().unwrap();
    assert_eq!(
        verdict,
        Verdict::Reject("nothing was learned of this model's answers")
    );
    let shown = format!("{:?}", agreement());
    assert!(!shown.contains("surely") && shown.len() < 400, "{shown}");
}

fn steps(route: &Route) -> Vec<&str> {
    route.steps().iter().map(|step| step.model().as_str()).collect()
}

#[test]
fn a_cascade_ends_with_the_model_that_was_asked_for() {
    let router = CascadeRouter::new("gpt-4.1-nano", Finished::new(), MINI).then(Finished::new(), FULL);
    let asked = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    for (requested, first, later) in [
        (FULL, Some("gpt-4.1-nano"), vec![MINI, FULL]),
        ("auto", Some("gpt-4.1-nano"), vec![MINI, FULL]),
        (MINI, Some("gpt-4.1-nano"), vec![MINI]),
        ("gpt-4.1-nano", None, vec![]),
        ("gpt-4o-2024-08-06", None, vec![]),
    ] {
        let route = route(&router, &asked(requested));
        assert_eq!((model(&route), steps(&route)), (first, later), "{requested}");
    }
}

#[test]
fn a_score_of_the_prompt_spares_the_verifier_or_the_cheap_model() {
    #[derive(Debug)]
    struct Length;

    impl Score for Length {
        #[expect(clippy::cast_precision_loss, reason = "a length of a few letters")]
        fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
            Some(request.latest_user_text()?.len() as f32)
        }
    }

    let lines = CascadeLines::at(3.0, 10.0).unwrap();
    let router = CascadeRouter::new(MINI, Finished::new(), FULL).with_prompt_score(Length, lines);
    for (prompt, first, later, why) in [
        ("hi", MINI, vec![], "the prompt does not need gpt-4o"),
        ("hello", MINI, vec![FULL], "cheap first, gpt-4o if need be"),
        ("good morning", FULL, vec![], "the prompt needs gpt-4o"),
    ] {
        let route = route(&router, &says(prompt));
        assert_eq!(
            (model(&route), steps(&route), reason(&route)),
            (Some(first), later, why)
        );
    }
}

#[test]
fn a_route_is_as_another_if_its_steps_ask_the_same_verifier() {
    let step = Step::new(Finished::new(), FULL);
    assert_eq!(
        Route::to(MINI).with_step(step.clone()),
        Route::to(MINI).with_step(step.clone())
    );
    assert_ne!(
        Route::to(MINI).with_step(step),
        Route::to(MINI).with_step(Step::new(Finished::new(), FULL))
    );
}

thread_local! {
    /// Trained once: the properties ask it many times.
    static LEARNED: LearnedVerifier = LearnedVerifier::new(answers());
}

proptest! {
    /// Verifiers answer for any bytes, and what they say holds none of them.
    #[test]
    fn any_bytes_are_judged(request in "[\\[\\]{}\":,a-c0-9 ]{0,60}", answer in "[\\[\\]{}\":,a-c0-9 ]{0,60}") {
        for endpoint in [CHAT, Endpoint::Responses, Endpoint::Embeddings] {
            let learned = LEARNED.with(Clone::clone);
            let verdicts = [
                judge_bytes(&learned, &endpoint, &request, &answer, None),
                judge_bytes(&Finished::new(), &endpoint, &request, &answer, None),
                judge_bytes(&ValidToolCalls::new(), &endpoint, &request, &answer, None),
                judge_bytes(&MatchesSchema::new(), &endpoint, &request, &answer, None),
                judge_bytes(&Agreement::on_number("m"), &endpoint, &request, &answer, Some(&request)),
                judge_bytes(&Agreement::on_json("m"), &endpoint, &request, &answer, Some(&answer)),
            ];
            prop_assert!(verdicts.iter().all(|verdict| *verdict != Verdict::AskSecond));
        }
    }

    /// A number is the same however it is written, and another one is not.
    #[test]
    fn decimals_agree_with_themselves_however_they_are_written(
        whole in prop_oneof![0_u32..2, 0_u32..2_000_000],
        thousandths in 0_u32..1_000,
        is_negative in any::<bool>(),
        forms in prop::array::uniform2((0_usize..SEPARATORS.len(), 0_usize..3, 0_usize..TEXTS.len())),
    ) {
        let answer = |whole: u32, is_negative, (separator, zeros, text): (usize, usize, usize)| {
            let fraction = format!("{thousandths:03}").trim_end_matches('0').to_owned() + &"0".repeat(zeros);
            let point = if fraction.is_empty() { "" } else { "." };
            let digits = whole.to_string();
            let groups = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap());
            let whole = groups.collect::<Vec<_>>().join(SEPARATORS[separator]);
            // Half of all write no zero before the point.
            let whole = if whole == "0" && separator % 2 == 0 && point == "." { "" } else { &whole };
            let sign = if is_negative { ["-", "\u{2212}"][separator % 2] } else { "" };
            let number = format!("{sign}{whole}{point}{fraction}");
            chat(&json!(TEXTS[text].replace('#', &number)), "stop").to_string()
        };
        let verdict = |first: &str, second: &str| {
            judge_bytes(&Agreement::on_number("m"), &CHAT, "{}", first, Some(second))
        };
        let first = answer(whole, is_negative, forms[0]);
        let same = answer(whole, is_negative, forms[1]);
        prop_assert_eq!(verdict(&first, &same), Verdict::Accept, "{} {}", first, same);
        let greater = answer(whole + 1, is_negative, forms[1]);
        prop_assert_ne!(verdict(&first, &greater), Verdict::Accept, "{} {}", first, greater);
        if whole > 0 {
            let opposite = answer(whole, !is_negative, forms[1]);
            prop_assert_ne!(verdict(&first, &opposite), Verdict::Accept, "{} {}", first, opposite);
        }
    }
}

/// What stands between thousands.
const SEPARATORS: [&str; 8] = ["", ",", "{,}", "\\,", " ", "\u{202f}", "_", "'"];

const TEXTS: [&str; 9] = [
    "#",
    "The answer is #.",
    "**#**",
    "$#$, I think",
    "Of 3 it is (#)!",
    "It is: #.\n",
    "[#]. Yes.",
    "x=#",
    "so: #",
];
