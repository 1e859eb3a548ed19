"""Results as DICOM: segmentation, measurement report and overlay that refer to their image; FHIR; de-identified copies.

Needs the extra ``[dicom]``. Each function imports pydicom and highdicom when it is called.
"""
