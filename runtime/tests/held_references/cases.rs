//! The cases: how a reference can get on the operand stack, and what it must still lead to later.

/// A value that the code of a case leaves on the operand stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held {
    /// A reference below `any`, to one of the [`what`]s.
    Any(u32),
    /// The same, below `extern`.
    Extern(u32),
    /// An exception that carries it.
    Exn(u32),
    /// A reference to the function `$answer`.
    Func,
    /// Null.
    Null,
}

/// What a reference leads to; the function `$is` of the module knows these numbers.
pub(crate) mod what {
    /// The object in the global `$first`.
    pub(crate) const FIRST: u32 = 0;
    /// The object in the global `$second`.
    pub(crate) const SECOND: u32 = 1;
    /// The array in the global `$list`.
    pub(crate) const LIST: u32 = 2;
    /// A new `$box` of 55.
    pub(crate) const NEW_BOX: u32 = 3;
    /// A new `$box` with the default.
    pub(crate) const EMPTY_BOX: u32 = 4;
    /// A new `$holder` of `$first`.
    pub(crate) const NEW_HOLDER: u32 = 5;
    /// A new `$longs` of three times 55.
    pub(crate) const NEW_LONGS: u32 = 6;
    /// A new `$longs` of three times 0.
    pub(crate) const EMPTY_LONGS: u32 = 7;
    /// A new `$list` of `$first` twice.
    pub(crate) const NEW_LIST: u32 = 8;
    /// An `i31` of 1234.
    pub(crate) const I31: u32 = 9;
    /// The host's value.
    pub(crate) const HOST: u32 = 10;
    /// A new `$list` of null twice.
    pub(crate) const EMPTY_LIST: u32 = 11;
}

/// Code that leaves references on the operand stack.
///
/// In the texts `HOLD` stands for what collects; without one in `body` it comes at its end. `@` stands
/// for what makes the names of functions unique.
pub(crate) struct Case {
    /// What is tried.
    pub(crate) name: &'static str,
    /// The operators that put the reference where it is, as the parser names them.
    pub(crate) operators: &'static [&'static str],
    /// Functions that the code uses.
    pub(crate) helpers: &'static str,
    /// The code.
    pub(crate) body: &'static str,
    /// What it leaves, the newest last.
    pub(crate) held: &'static [Held],
}

/// A case without helpers.
const fn case(
    name: &'static str,
    operators: &'static [&'static str],
    body: &'static str,
    held: &'static [Held],
) -> Case {
    Case { name, operators, helpers: "", body, held }
}

const FIRST: Held = Held::Any(what::FIRST);
const SECOND: Held = Held::Any(what::SECOND);

/// All cases.
pub(crate) const CASES: &[Case] = &[
    // Variables.
    Case {
        name: "param",
        operators: &["LocalGet", "Call"],
        helpers: r#"(func $@keep (param $x (ref null $box)) (result (ref null $box)) (local $n i32)
            HOLD local.get $x)"#,
        body: "global.get $first call $@keep",
        held: &[FIRST],
    },
    Case {
        name: "local",
        operators: &["LocalSet", "LocalGet"],
        helpers: r#"(func $@keep (result (ref null $box) (ref null $box)) (local $n i32)
            (local $x (ref null $box))
            (local.set $x (global.get $first))
            local.get $x HOLD local.get $x)"#,
        body: "call $@keep",
        held: &[FIRST, FIRST],
    },
    Case {
        name: "local.tee",
        operators: &["LocalTee"],
        helpers: r#"(func $@keep (result (ref null $box) (ref null $box)) (local $n i32)
            (local $x (ref null $box))
            global.get $first local.tee $x HOLD local.get $x)"#,
        body: "call $@keep",
        held: &[FIRST, FIRST],
    },
    Case {
        name: "a local that two paths set",
        operators: &["LocalGet"],
        helpers: r#"(func $@keep (result (ref null $box)) (local $n i32) (local $x (ref null $box))
            (if (global.get $one)
              (then (local.set $x (struct.get $holder $box (global.get $holder))))
              (else (local.set $x (global.get $first))))
            HOLD local.get $x)"#,
        body: "call $@keep",
        held: &[SECOND],
    },
    Case {
        name: "a local around a loop",
        operators: &["LocalGet"],
        helpers: r#"(func $@keep (result (ref null $box)) (local $n i32) (local $i i32)
            (local $x (ref null $box)) (local $y (ref null $box))
            (local.set $x (global.get $first)) (local.set $i (i32.const 2))
            (loop $again
              HOLD
              (local.set $y (local.get $x))
              (local.set $x (global.get $second))
              (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            HOLD local.get $y)"#,
        body: "call $@keep",
        held: &[SECOND],
    },
    case("global.get", &["GlobalGet"], "global.get $first", &[FIRST]),
    case("global.get extern", &["GlobalGet"], "global.get $extern", &[Held::Extern(what::HOST)]),
    case("global.get exn", &["GlobalGet"], "global.get $exn", &[Held::Exn(what::FIRST)]),
    case("global.get func", &["GlobalGet"], "global.get $func", &[Held::Func]),
    case("global.get of an import", &["GlobalGet"], "global.get $imported", &[SECOND]),
    case("global.get constant", &["GlobalGet"], "global.get $constant", &[Held::Any(what::NEW_BOX)]),
    case("table.get", &["TableGet"], "global.get $one table.get $boxes", &[SECOND]),
    case("table.get any", &["TableGet"], "i32.const 0 table.get $anys", &[FIRST]),
    case("table.get extern", &["TableGet"], "global.get $one table.get $externs", &[
        Held::Extern(what::FIRST),
    ]),
    case("table.get exn", &["TableGet"], "i32.const 0 table.get $exns", &[Held::Exn(what::FIRST)]),
    case("table.get func", &["TableGet"], "i32.const 0 table.get $funcs", &[Held::Func]),
    case(
        "select",
        &["TypedSelect"],
        "global.get $first global.get $second global.get $one select (result (ref null $box))",
        &[FIRST],
    ),
    case(
        "select extern",
        &["TypedSelect"],
        "i32.const 0 table.get $externs global.get $extern global.get $one i32.eqz
         select (result externref)",
        &[Held::Extern(what::HOST)],
    ),
    // References.
    case("ref.null", &["RefNull"], "ref.null any ref.null extern ref.null exn", &[Held::Null; 3]),
    case("ref.func", &["RefFunc"], "ref.func $answer", &[Held::Func]),
    case("ref.as_non_null", &["RefAsNonNull"], "global.get $first ref.as_non_null", &[FIRST]),
    case("ref.i31", &["RefI31"], "global.get $number ref.i31", &[Held::Any(what::I31)]),
    case("any.convert_extern", &["AnyConvertExtern"], "global.get $extern any.convert_extern", &[
        Held::Any(what::HOST),
    ]),
    case("extern.convert_any", &["ExternConvertAny"], "global.get $first extern.convert_any", &[
        Held::Extern(what::FIRST),
    ]),
    case(
        "ref.cast",
        &["RefCastNonNull"],
        "i32.const 0 table.get $anys ref.cast (ref $box)",
        &[FIRST],
    ),
    case(
        "ref.cast null",
        &["RefCastNullable"],
        "i32.const 0 table.get $anys ref.cast (ref null $box)",
        &[FIRST],
    ),
    case("ref.cast eq", &["RefCastNonNull"], "i32.const 0 table.get $anys ref.cast (ref eq)", &[
        FIRST,
    ]),
    case(
        "ref.cast array",
        &["RefCastNonNull"],
        "global.get $one table.get $anys ref.cast (ref array)",
        &[Held::Any(what::LIST)],
    ),
    // Objects.
    case("struct.new", &["StructNew"], "i64.const 55 struct.new $box", &[Held::Any(what::NEW_BOX)]),
    case("struct.new_default", &["StructNewDefault"], "struct.new_default $box", &[Held::Any(
        what::EMPTY_BOX,
    )]),
    case(
        "struct.new of references that were loaded",
        &["StructNew", "StructGet"],
        "(struct.get $holder $any (global.get $holder)) (struct.get $holder $extern (global.get $holder))
         (struct.get $holder $exn (global.get $holder)) (struct.get $holder $box (global.get $holder))
         (ref.func $answer) struct.new $holder",
        &[Held::Any(what::NEW_HOLDER)],
    ),
    case("struct.get", &["StructGet"], "global.get $holder struct.get $holder $box", &[SECOND]),
    case("struct.get any", &["StructGet"], "global.get $holder struct.get $holder $any", &[FIRST]),
    case("struct.get extern", &["StructGet"], "global.get $holder struct.get $holder $extern", &[
        Held::Extern(what::HOST),
    ]),
    case("struct.get exn", &["StructGet"], "global.get $holder struct.get $holder $exn", &[
        Held::Exn(what::FIRST),
    ]),
    case("struct.get func", &["StructGet"], "global.get $holder struct.get $holder $func", &[
        Held::Func,
    ]),
    case("array.new", &["ArrayNew"], "i64.const 55 i32.const 3 array.new $longs", &[Held::Any(
        what::NEW_LONGS,
    )]),
    case(
        "array.new of a reference that was loaded",
        &["ArrayNew", "TableGet"],
        "i32.const 0 table.get $boxes i32.const 2 array.new $list",
        &[Held::Any(what::NEW_LIST)],
    ),
    case("array.new_default", &["ArrayNewDefault"], "i32.const 3 array.new_default $longs", &[
        Held::Any(what::EMPTY_LONGS),
    ]),
    case(
        "array.new_default of references",
        &["ArrayNewDefault"],
        "i32.const 2 array.new_default $list",
        &[Held::Any(what::EMPTY_LIST)],
    ),
    case(
        "array.new_fixed",
        &["ArrayNewFixed"],
        "i64.const 55 i64.const 55 i64.const 55 array.new_fixed $longs 3",
        &[Held::Any(what::NEW_LONGS)],
    ),
    case(
        "array.new_fixed of references that were loaded",
        &["ArrayNewFixed", "TableGet"],
        "i32.const 0 table.get $boxes i32.const 0 table.get $boxes array.new_fixed $list 2",
        &[Held::Any(what::NEW_LIST)],
    ),
    case(
        "array.new_data",
        &["ArrayNewData"],
        "i32.const 0 i32.const 3 array.new_data $longs $data",
        &[Held::Any(what::NEW_LONGS)],
    ),
    case(
        "array.new_elem",
        &["ArrayNewElem"],
        "i32.const 1 i32.const 2 array.new_elem $list $elements",
        &[Held::Any(what::EMPTY_LIST)],
    ),
    case(
        "array.new_elem, an element of it",
        &["ArrayNewElem", "ArrayGet"],
        "i32.const 0 i32.const 1 array.new_elem $list $elements i32.const 0 array.get $list",
        &[Held::Any(what::NEW_BOX)],
    ),
    case("array.get", &["ArrayGet"], "global.get $list i32.const 0 array.get $list", &[FIRST]),
    // Blocks.
    case(
        "block",
        &["Block", "End"],
        "global.get $one table.get $boxes
         (block (param (ref null $box)) (result (ref null $box) (ref null $box))
           HOLD i32.const 0 table.get $boxes)
         HOLD",
        &[SECOND, FIRST],
    ),
    case(
        "loop, its parameters",
        &["Loop"],
        "i32.const 0 table.get $boxes
         (loop (param (ref null $box)) (result (ref null $box)) HOLD)",
        &[FIRST],
    ),
    Case {
        name: "loop, its parameters the second time",
        operators: &["Loop", "BrIf"],
        helpers: r#"(func $@keep (result (ref null $box)) (local $n i32) (local $i i32)
            (local.set $i (i32.const 2))
            i32.const 0 table.get $boxes
            (loop $again (param (ref null $box)) (result (ref null $box))
              HOLD drop
              global.get $one table.get $boxes
              (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1))))
              HOLD))"#,
        body: "call $@keep",
        held: &[SECOND],
    },
    case(
        "if",
        &["If", "Else"],
        "i32.const 0 table.get $boxes global.get $one
         (if (param (ref null $box)) (result (ref null $box))
           (then HOLD) (else drop global.get $second))
         HOLD",
        &[FIRST],
    ),
    case(
        "else",
        &["If", "Else"],
        "i32.const 0 table.get $boxes global.get $one i32.eqz
         (if (param (ref null $box)) (result (ref null $box))
           (then drop global.get $second) (else HOLD))
         HOLD",
        &[FIRST],
    ),
    case(
        "if without an else",
        &["If"],
        "i32.const 0 table.get $boxes global.get $one i32.eqz
         (if (param (ref null $box)) (result (ref null $box)) (then drop global.get $second))",
        &[FIRST],
    ),
    case(
        "br",
        &["Br"],
        "(block $out (result (ref null $box)) i32.const 0 table.get $boxes br $out)",
        &[FIRST],
    ),
    case(
        "br_if, taken",
        &["BrIf"],
        "(block $out (result (ref null $box))
           i32.const 0 table.get $boxes global.get $one br_if $out drop global.get $second)",
        &[FIRST],
    ),
    case(
        "br_if, not taken",
        &["BrIf"],
        "(block $out (result (ref null $box))
           i32.const 0 table.get $boxes global.get $one i32.eqz br_if $out HOLD)",
        &[FIRST],
    ),
    case(
        "br_table",
        &["BrTable"],
        "(block $b (result (ref null $box) externref) (block $a (result (ref null $box) externref)
           i32.const 0 table.get $boxes i32.const 0 table.get $externs
           global.get $one br_table $a $b $a)
         drop drop global.get $second global.get $extern)",
        &[FIRST, Held::Extern(what::HOST)],
    ),
    Case {
        name: "return",
        operators: &["Return", "Call"],
        helpers: r#"(func $@keep (result (ref null $box) externref (ref null $box))
            i32.const 0 table.get $boxes global.get $extern
            global.get $one table.get $boxes return)"#,
        body: "call $@keep",
        held: &[FIRST, Held::Extern(what::HOST), SECOND],
    },
    case(
        "br_on_null, not taken",
        &["BrOnNull"],
        "(block $out (result (ref null $box))
           (block $null (result (ref null $box))
             global.get $one table.get $boxes i32.const 0 table.get $boxes br_on_null $null
             HOLD
             br $out)
           drop global.get $first
           HOLD
           drop unreachable)",
        &[FIRST],
    ),
    case(
        "br_on_null, taken",
        &["BrOnNull"],
        "(block $null (result (ref null $box))
           global.get $one table.get $boxes ref.null $box br_on_null $null drop)",
        &[SECOND],
    ),
    case(
        "br_on_non_null, taken",
        &["BrOnNonNull"],
        "(block $some (result (ref null $box) (ref $box))
           global.get $one table.get $boxes i32.const 0 table.get $boxes br_on_non_null $some
           unreachable)",
        &[SECOND, FIRST],
    ),
    case(
        "br_on_non_null, not taken",
        &["BrOnNonNull"],
        "(block $some (result (ref null $box) (ref $box))
           global.get $one table.get $boxes ref.null $box br_on_non_null $some
           HOLD
           global.get $first ref.as_non_null)",
        &[SECOND, FIRST],
    ),
    case(
        "br_on_cast, taken",
        &["BrOnCast"],
        "(block $box (result (ref null $box) (ref $box))
           global.get $one table.get $boxes i32.const 0 table.get $anys
           br_on_cast $box anyref (ref $box) unreachable)",
        &[SECOND, FIRST],
    ),
    case(
        "br_on_cast, not taken",
        &["BrOnCast"],
        "(block $longs (result (ref null $box) anyref)
           global.get $one table.get $boxes i32.const 0 table.get $anys
           br_on_cast $longs anyref (ref $longs) HOLD)",
        &[SECOND, FIRST],
    ),
    case(
        "br_on_cast_fail, taken",
        &["BrOnCastFail"],
        "(block $other (result (ref null $box) anyref)
           global.get $one table.get $boxes i32.const 0 table.get $anys
           br_on_cast_fail $other anyref (ref $longs) unreachable)",
        &[SECOND, FIRST],
    ),
    case(
        "br_on_cast_fail, not taken",
        &["BrOnCastFail"],
        "(block $other (result (ref null $box) anyref)
           global.get $one table.get $boxes i32.const 0 table.get $anys
           br_on_cast_fail $other anyref (ref $box) HOLD)",
        &[SECOND, FIRST],
    ),
    // Calls.
    Case {
        name: "call, many results",
        operators: &["Call"],
        helpers: MANY,
        body: "call $@many",
        held: MANY_HELD,
    },
    case("call of the host", &["Call"], "global.get $second call $host_same", &[SECOND]),
    case(
        "call of the host, two results",
        &["Call"],
        "global.get $second global.get $extern call $host_pair",
        &[SECOND, Held::Extern(what::HOST)],
    ),
    Case {
        name: "call inside of a try_table",
        operators: &["Call", "TryTable"],
        helpers: MANY,
        body: "(block $out (result (ref null $box) externref (ref null $box) exnref anyref
              (ref null $box) externref (ref null $box))
            (block $caught
              (try_table (catch_all $caught) call $@many HOLD br $out))
            unreachable)",
        held: MANY_HELD,
    },
    case(
        "call_indirect",
        &["CallIndirect"],
        "global.get $one i32.const 1 call_indirect $funcs (param i32) (result (ref null $box))",
        &[SECOND],
    ),
    case(
        "call_ref",
        &["CallRef"],
        "global.get $one ref.func $box_at call_ref $box_at_type",
        &[SECOND],
    ),
    Case {
        name: "return_call",
        operators: &["ReturnCall"],
        helpers: r#"(func $@callee (param $x (ref null $box)) (param $y externref)
              (result (ref null $box) externref) (local $n i32)
              local.get $x HOLD local.get $y)
            (func $@caller (result (ref null $box) externref)
              i32.const 0 table.get $boxes i32.const 0 table.get $externs return_call $@callee)"#,
        body: "call $@caller",
        held: &[FIRST, Held::Extern(what::HOST)],
    },
    Case {
        name: "return_call_indirect",
        operators: &["ReturnCallIndirect"],
        helpers: r#"(func $@caller (result (ref null $box))
              global.get $one i32.const 1
              return_call_indirect $funcs (param i32) (result (ref null $box)))"#,
        body: "call $@caller",
        held: &[SECOND],
    },
    Case {
        name: "return_call_ref",
        operators: &["ReturnCallRef"],
        helpers: r#"(func $@caller (result (ref null $box))
              global.get $one ref.func $box_at return_call_ref $box_at_type)"#,
        body: "call $@caller",
        held: &[SECOND],
    },
    // Exceptions.
    case(
        "try_table, its results",
        &["TryTable"],
        "(block $out (result (ref null $box)) (block $caught
           (try_table (result (ref null $box)) (catch_all $caught)
             i32.const 0 table.get $boxes HOLD)
           br $out)
         unreachable)",
        &[FIRST],
    ),
    Case {
        name: "catch",
        operators: &["TryTable", "Throw"],
        helpers: THROWS,
        body: "(block $caught (result (ref null $box) externref)
            (try_table (catch $pair $caught) call $@throws) unreachable)",
        held: &[SECOND, Held::Extern(what::HOST)],
    },
    case(
        "catch in the function that throws",
        &["TryTable", "Throw"],
        "(block $caught (result (ref null $box) externref)
           (try_table (catch $pair $caught)
             global.get $one table.get $boxes global.get $extern throw $pair)
           unreachable)",
        &[SECOND, Held::Extern(what::HOST)],
    ),
    Case {
        name: "catch_ref",
        operators: &["TryTable", "Throw"],
        helpers: THROWS,
        body: "(block $caught (result (ref null $box) externref exnref)
            (try_table (catch_ref $pair $caught) call $@throws) unreachable)",
        held: &[SECOND, Held::Extern(what::HOST), Held::Exn(what::SECOND)],
    },
    Case {
        name: "catch_all_ref",
        operators: &["TryTable", "Throw"],
        helpers: THROWS,
        body: "(block $caught (result exnref)
            (try_table (catch_all_ref $caught) call $@throws) unreachable)",
        held: &[Held::Exn(what::SECOND)],
    },
    case(
        "throw_ref",
        &["ThrowRef", "TryTable"],
        "(block $caught (result (ref null $box))
           (try_table (catch $one_box $caught) global.get $exn throw_ref) unreachable)",
        &[FIRST],
    ),
    Case {
        name: "below a try_table that catches",
        operators: &["TryTable"],
        helpers: THROWS,
        body: "i32.const 0 table.get $boxes
            (block $caught (try_table (catch_all $caught) call $@throws) unreachable)",
        held: &[FIRST],
    },
    Case {
        name: "legacy catch",
        operators: &["Try", "Catch"],
        helpers: THROWS,
        body: "try (result (ref null $box) externref)
              call $@throws unreachable
            catch $pair
              HOLD
            end
            HOLD",
        held: &[SECOND, Held::Extern(what::HOST)],
    },
    Case {
        name: "legacy try, its results",
        operators: &["Try", "CatchAll"],
        helpers: THROWS,
        body: "try (result (ref null $box))
              call $host_nothing i32.const 0 table.get $boxes HOLD
            catch_all
              global.get $second HOLD
            end
            try (result (ref null $box))
              call $@throws unreachable
            catch_all
              global.get $one table.get $boxes HOLD
            end",
        held: &[FIRST, SECOND],
    },
    Case {
        name: "legacy delegate",
        operators: &["Delegate", "Catch"],
        helpers: THROWS,
        body: "try $outer (result (ref null $box) externref)
              try
                call $@throws
              delegate $outer
              unreachable
            catch $pair
              HOLD
            end",
        held: &[SECOND, Held::Extern(what::HOST)],
    },
    Case {
        name: "legacy rethrow",
        operators: &["Rethrow", "Catch"],
        helpers: THROWS,
        body: "try (result (ref null $box) externref)
              try $inner
                call $@throws
              catch $pair
                HOLD drop drop HOLD
                rethrow $inner
              end
              unreachable
            catch $pair
            end",
        held: &[SECOND, Held::Extern(what::HOST)],
    },
];

/// More results than there are registers.
const MANY: &str = r#"(func $@many (result (ref null $box) externref (ref null $box) exnref
      anyref (ref null $box) externref (ref null $box))
    i32.const 0 table.get $boxes global.get $extern global.get $second global.get $exn
    global.get $first global.get $one table.get $boxes global.get $extern global.get $first)"#;

const MANY_HELD: &[Held] = &[
    FIRST,
    Held::Extern(what::HOST),
    SECOND,
    Held::Exn(what::FIRST),
    FIRST,
    SECOND,
    Held::Extern(what::HOST),
    FIRST,
];

/// Throws what `$second` and `$extern` hold.
const THROWS: &str = r#"(func $@throws
    global.get $one table.get $boxes i32.const 0 table.get $externs throw $pair)"#;
