//! Which operators need a case: all that the parser knows, less those that yield no reference.

use crate::cases::CASES;
use crate::{HOLDS, identifier, text};
use seqfault::Feature;
use std::collections::{HashMap, HashSet};
use wasmparser::{KnownCustom, Name, Operator, Parser, Payload};

/// An operator of the parser.
struct Known {
    proposal: &'static str,
    name: &'static str,
    /// How many operands it takes and leaves, if that is fixed.
    arity: &'static str,
}

macro_rules! list {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        const OPERATORS: &[Known] = &[$(Known {
            proposal: stringify!($proposal),
            name: stringify!($op),
            arity: stringify!($($arity)*),
        }),*];

        fn name(operator: &Operator<'_>) -> &'static str {
            match operator {
                $(Operator::$op { .. } => stringify!($op),)*
                _ => "unknown",
            }
        }
    };
}
wasmparser::for_each_operator!(list);

/// Proposals that this engine has no feature for. With the feature their operators want cases.
const NOT_SUPPORTED: &[&str] =
    &["custom_descriptors", "shared_everything_threads", "stack_switching"];

/// How the names of operators begin that yield nothing but numbers and vectors.
const NUMBERS: &[&str] =
    &["I32", "I64", "F32", "F64", "V128", "I8x16", "I16x8", "I32x4", "I64x2", "F32x4", "F64x2"];

/// Others that leave no reference.
const NO_REFERENCE: &[&str] = &[
    // Only of numbers and vectors; with several types it is not valid at all.
    "Select",
    "TypedSelectMulti",
    "MemorySize",
    "MemoryGrow",
    "TableSize",
    "TableGrow",
    "MemoryAtomicNotify",
    "MemoryAtomicWait32",
    "MemoryAtomicWait64",
    "RefEq",
    "RefIsNull",
    "RefTestNonNull",
    "RefTestNullable",
    "StructGetS",
    "StructGetU",
    "ArrayGetS",
    "ArrayGetU",
    "ArrayLen",
    "I31GetS",
    "I31GetU",
];

/// Operators after which nothing is on the stack, though what they pass on is: those have cases.
fn leaves_nothing(operator: &Known) -> bool {
    operator.arity.replace(' ', "").ends_with("->0")
}

#[test]
fn every_operator_that_yields_a_reference_has_a_case() {
    let covered: HashSet<&str> = CASES.iter().flat_map(|case| case.operators).copied().collect();
    for operator in OPERATORS {
        let Known { proposal, name, .. } = operator;
        if NOT_SUPPORTED.contains(proposal) {
            let feature = proposal.replace('_', "-").parse::<Feature>();
            assert!(feature.is_err(), "{name}: the engine has its feature now, it wants a case");
            continue;
        }
        let exempt = leaves_nothing(operator)
            || NO_REFERENCE.contains(name)
            || NUMBERS.iter().any(|number| name.starts_with(number));
        assert!(exempt || covered.contains(name), "{name} has no case, and no reason for none");
    }
    let known: HashSet<&str> = OPERATORS.iter().map(|operator| operator.name).collect();
    for name in covered.iter().chain(NO_REFERENCE) {
        assert!(known.contains(name), "the parser knows no {name}");
    }
}

#[test]
fn each_case_has_the_operators_that_it_names() {
    let bytes = wat::parse_str(text(1)).unwrap();
    let used = operators_by_function(&bytes);
    for case in CASES {
        let id = identifier(case, HOLDS[0].0);
        let own = used.iter().filter(|(name, _)| name.starts_with(&id)).flat_map(|(_, used)| used);
        let own: HashSet<&str> = own.copied().collect();
        for operator in case.operators {
            assert!(own.contains(operator), "`{}` has no {operator}", case.name);
        }
    }
}

/// The operators in each function of a module, by the function's name.
fn operators_by_function(bytes: &[u8]) -> HashMap<String, HashSet<&'static str>> {
    let (mut imported, mut bodies, mut names) = (0, Vec::new(), HashMap::new());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                let imports = section.into_imports().map(Result::unwrap);
                imported = imports.filter(|i| matches!(i.ty, wasmparser::TypeRef::Func(_))).count();
            }
            Payload::CodeSectionEntry(body) => {
                let reader = body.get_operators_reader().unwrap();
                bodies.push(reader.into_iter().map(|op| name(&op.unwrap())).collect());
            }
            Payload::CustomSection(section) => {
                let KnownCustom::Name(section) = section.as_known() else { continue };
                for subsection in section {
                    let Name::Function(map) = subsection.unwrap() else { continue };
                    let map = map.into_iter().map(Result::unwrap);
                    names.extend(map.map(|naming| (naming.index as usize, naming.name.to_owned())));
                }
            }
            _ => {}
        }
    }
    let of = |(index, used): (usize, HashSet<&'static str>)| {
        (names.remove(&(imported + index)).unwrap_or_default(), used)
    };
    bodies.into_iter().enumerate().map(of).collect()
}
