//! `struct.*`.

use super::access::Extension;
use crate::gc::FieldsLayout;
use crate::translate::Result;
use crate::translate::function::FuncTranslator;
use crate::types::{CompositeType, StructType};
use cranelift_codegen::ir::Value;
use smallvec::SmallVec;

impl<'a> FuncTranslator<'a, '_> {
    fn struct_type(&self, type_index: u32) -> &'a StructType {
        match &self.env.module.types[type_index].composite {
            CompositeType::Struct(ty) => ty,
            other => unreachable!("validation says that it is a struct type: {other:?}"),
        }
    }

    pub(in crate::translate) fn struct_new(&mut self, type_index: u32) -> Result {
        let count = self.struct_type(type_index).fields.len();
        self.canonicalize_top(count);
        let values: SmallVec<[Value; 8]> = self.stack.top(count).into();
        self.stack.drop_top(count);
        self.new_struct(type_index, &values);
        Ok(())
    }

    pub(in crate::translate) fn struct_new_default(&mut self, type_index: u32) -> Result {
        let fields = &self.struct_type(type_index).fields;
        let values: SmallVec<[Value; 8]> =
            fields.iter().map(|field| self.zero(field.storage.unpacked())).collect();
        self.new_struct(type_index, &values);
        Ok(())
    }

    fn new_struct(&mut self, type_index: u32, values: &[Value]) {
        let ty = self.struct_type(type_index);
        let layout = FieldsLayout::of_struct(ty);
        let object = self.allocate_sized(type_index, layout.size, 0);
        let address = self.object_address(object);
        for ((field, &offset), &value) in ty.fields.iter().zip(&layout.offsets).zip(values) {
            let place = self.fresh_place(field.storage, address, offset);
            self.store_place(place, field.storage, value);
        }
        self.stack.push(object);
    }

    pub(in crate::translate) fn struct_get(
        &mut self,
        type_index: u32,
        field: u32,
        extension: Extension,
    ) -> Result {
        let reference = self.stack.pop();
        let (offset, storage) = self.struct_field(type_index, field);
        let place = self.field_place(reference, offset, storage);
        self.load_place(place, storage, extension);
        Ok(())
    }

    pub(in crate::translate) fn struct_set(&mut self, type_index: u32, field: u32) -> Result {
        let value = self.pop_canonical();
        let reference = self.stack.pop();
        let (offset, storage) = self.struct_field(type_index, field);
        let place = self.field_place(reference, offset, storage);
        self.store_place(place, storage, value);
        Ok(())
    }

    /// Where a field lies, and how it is kept.
    fn struct_field(&mut self, type_index: u32, field: u32) -> (u32, crate::types::StorageType) {
        let ty = self.struct_type(type_index);
        let layouts = &mut self.env.struct_layouts;
        let layout = layouts.entry(type_index).or_insert_with(|| FieldsLayout::of_struct(ty));
        (layout.offsets[field as usize], ty.fields[field as usize].storage)
    }
}
